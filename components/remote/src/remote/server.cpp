// procpool::remote_server: a thread that accepts connections, and a thread for each connection.
// Each client has one main connection, on which it sends only the numbers of objects that it has
// released, and other connections for its calls. When the main connection ends, the client and all
// its objects end.
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "base/guarded.hpp"
#include "os/child_setup.hpp"
#include "os/event_fd.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/thread_name.hpp"
#include "procpool/remote.hpp"
#include "remote/channel.hpp"
#include "remote/handshake.hpp"
#include "remote/net_socket.hpp"
#include "remote/options.hpp"
#include "remote/session.hpp"
#include "runtime/process_role.hpp"
#include "wire/exception_codec.hpp"

namespace procpool {

using remote::channel;
using remote::greeting;
using remote::message;
using remote::message_kind;
using remote::session_id;
using remote::transfer;

namespace {

constexpr std::size_t longest_name = 256;
constexpr std::chrono::milliseconds retry_pause{10}, longest_sleep{1000};

// The server to which the function that runs in this thread belongs.
thread_local const void* server_of_this_thread = nullptr;

}  // namespace

// Hidden, although the enclosing class is exported.
struct __attribute__((visibility("hidden"))) remote_server::state {
  // One connection. Its thread owns the descriptor; `socket` is -1 before the thread closes it. All
  // but `thread` is used while the server's mutex is held.
  struct link {
    std::thread thread;
    int socket = -1;
    bool known = false;  // the client has proved the key
    bool over = false;
    std::shared_ptr<remote::session> client;
  };

  state(remote_server_options o, const detail::remote_crypto& c);
  ~state();

  void run();
  void accept();
  void reap();
  void serve(link& own, os::private_fd socket);
  void serve_client(link& own, channel& c);
  void watch_client(link& own, channel& c);
  void answer_calls(link& own, channel& c, const message& first);
  void end_client(const session_id& id, const std::shared_ptr<remote::session>& client);
  void stop();

  const remote_server_options options;
  const detail::remote_crypto& crypto;
  const remote::channel_limits limits;
  const pid_t pid = os::this_process();
  os::private_fd listener;
  std::string address;
  remote::socket_file file;
  const os::private_fd wake;
  remote::exposures exposed;
  base::mutex stopping;  // held while start() or stop() works
  std::thread acceptor GUARDED_BY(stopping);

  mutable base::mutex mutex;
  std::condition_variable asked;
  bool started GUARDED_BY(mutex) = false;
  bool stop_asked GUARDED_BY(mutex) = false;
  std::list<link> links GUARDED_BY(mutex);
  std::map<session_id, std::shared_ptr<remote::session>> clients GUARDED_BY(mutex);
};

remote_server::state::state(remote_server_options o, const detail::remote_crypto& c)
    : options(remote::checked(std::move(o))),
      crypto(c),
      limits(remote::limits_of(options)),
      listener(remote::listen_on(options.address)),
      address(remote::bound_address(listener.get(), options.address)),
      file(remote::file_at(options.address)),
      wake(os::make_event_fd()) {
  runtime::install_fork_handlers();
}

remote_server::state::~state() {
  stop();
  remote::remove_file_at(options.address, file);
}

// --- connections ---------------------------------------------------------------------------------

void remote_server::state::run() {
  os::name_this_thread("remote accept");
  for (;;) {
    std::array<os::poll_item, 2> items{};
    items[0].fd = wake.get();
    items[1].fd = listener.get();
    os::poll_items(items, longest_sleep);
    if (wake.is_ours()) os::clear_event_fd(wake.get());
    reap();
    {
      const base::lock_guard lock(mutex);
      if (stop_asked) return;
    }
    if (items[1].readable) accept();
  }
}

// Joins threads that have ended.
void remote_server::state::reap() {
  std::list<link> ended;
  {
    const base::lock_guard lock(mutex);
    for (auto at = links.begin(); at != links.end();) {
      const auto next = std::next(at);
      if (at->over) ended.splice(ended.end(), links, at);
      at = next;
    }
  }
  for (link& l : ended) l.thread.join();
}

void remote_server::state::accept() {
  os::private_fd socket(remote::accept_from(listener.get()));
  if (!socket) {
    // No client; or no descriptor or memory, which may come back: clients in the queue have a time
    // limit of their own. Or the program has closed the listener, and no client can ever connect.
    if (os::accept_failure_of(errno) != os::accept_failure::nobody) {
      os::poll_items({}, retry_pause);
    }
    return;
  }
  const base::lock_guard lock(mutex);
  // Clients that have not proved the key may take at most half of the places.
  const auto most = static_cast<std::size_t>(options.max_connections);
  std::size_t live = 0, strangers = 0;
  for (const link& l : links) {
    live += l.over ? 0U : 1U;
    strangers += l.over || l.known ? 0U : 1U;
  }
  if (live >= most || strangers >= most / 2) return;
  try {
    link& own = links.emplace_back();
    own.socket = socket.get();
    try {
      own.thread =
          std::thread([this, &own, s = std::move(socket)]() mutable { serve(own, std::move(s)); });
    } catch (...) {
      links.pop_back();
      throw;
    }
  } catch (const std::exception&) {
    // No memory or no thread: the end of the connection tells the client.
  }
}

void remote_server::state::serve(link& own, os::private_fd socket) {
  os::name_this_thread("remote client");
  server_of_this_thread = this;
  {
    remote::watch_peer(socket.get(), limits.stall);
    remote::session_keys keys;
    const remote::io_deadline until = remote::deadline_in(options.handshake_timeout);
    if (remote::greet_client(socket.get(), options.key, crypto, until, keys) == greeting::done) {
      channel c(std::move(socket), remote::side::server, keys, crypto, limits);
      crypto.wipe(&keys, sizeof(keys));
      try {
        serve_client(own, c);
      } catch (const std::exception&) {
        // No memory or no random bytes: the end of the connection tells the client.
      }
      const base::lock_guard lock(mutex);
      own.socket = -1;  // before the descriptor is closed
    } else {
      const base::lock_guard lock(mutex);
      own.socket = -1;
    }
  }
  std::shared_ptr<remote::session> last;  // its objects are destroyed without the lock
  const base::lock_guard lock(mutex);
  last = std::move(own.client);
  own.over = true;
  os::signal_event_fd(wake.get());
}

void remote_server::state::serve_client(link& own, channel& c) {
  {
    const base::lock_guard lock(mutex);
    own.known = true;
  }
  message first;
  if (c.receive(first, remote::deadline_in(options.handshake_timeout)) != transfer::done) return;
  if (first.kind == message_kind::open && first.bytes.empty()) watch_client(own, c);
  if (first.kind == message_kind::join) answer_calls(own, c, first);
}

void remote_server::state::watch_client(link& own, channel& c) {
  const auto client = std::make_shared<remote::session>(exposed, options.max_objects);
  session_id id{};
  os::fill_random(id);
  {
    const base::lock_guard lock(mutex);
    if (stop_asked) return;
    own.client = client;
    clients[id] = client;
  }
  if (remote::send_welcome(c, id, limits.max_message) == transfer::done) {
    message m;
    while (c.receive(m, remote::no_deadline) == transfer::done && m.kind == message_kind::drop &&
           m.bytes.size() == sizeof(std::uint64_t)) {
      std::uint64_t number = 0;
      std::memcpy(&number, m.bytes.data(), sizeof(number));
      client->drop(number);
    }
  }
  end_client(id, client);
}

void remote_server::state::end_client(const session_id& id,
                                      const std::shared_ptr<remote::session>& client) {
  {
    const base::lock_guard lock(mutex);
    clients.erase(id);
    for (const link& l : links) {
      if (l.client == client && l.socket >= 0) remote::end_stream(l.socket);
    }
  }
  client->end();
}

void remote_server::state::answer_calls(link& own, channel& c, const message& first) {
  session_id id{};
  if (first.bytes.size() != id.size()) return;
  std::memcpy(id.data(), first.bytes.data(), id.size());
  std::shared_ptr<remote::session> client;
  {
    const base::lock_guard lock(mutex);
    const auto found = clients.find(id);
    if (found != clients.end()) client = own.client = found->second;
  }
  if (client == nullptr) return;
  if (remote::send_welcome(c, id, limits.max_message) != transfer::done) return;
  for (;;) {
    message request;
    if (c.receive(request, remote::no_deadline) != transfer::done) return;
    detail::heap_writer reply;
    const message_kind kind = client->answer(request, reply, limits.max_message);
    if (c.send(kind, {reply.data(), reply.size()}) != transfer::done) return;
  }
}

void remote_server::state::stop() {
  const base::lock_guard one(stopping);
  {
    const base::lock_guard lock(mutex);
    stop_asked = true;
    asked.notify_all();
    os::signal_event_fd(wake.get());
  }
  if (acceptor.joinable()) acceptor.join();
  std::list<link>::iterator at, end;
  {
    const base::lock_guard lock(mutex);
    for (const link& l : links) {
      if (l.socket >= 0) remote::end_stream(l.socket);
    }
    at = links.begin();
    end = links.end();
  }
  // The acceptor has ended, so no thread changes the list any more.
  for (; at != end; ++at) at->thread.join();
  const base::lock_guard lock(mutex);
  links.clear();
  listener.reset();
}

// --- the class -----------------------------------------------------------------------------------

remote_server::remote_server(remote_server_options options, const detail::remote_crypto& crypto)
    : state_(std::make_unique<state>(std::move(options), crypto)) {}
remote_server::remote_server(remote_server&&) noexcept = default;
remote_server& remote_server::operator=(remote_server&& other) noexcept {
  if (this != &other) {
    const remote_server ended = std::move(*this);
    state_ = std::move(other.state_);
  }
  return *this;
}
remote_server::~remote_server() {
  // A copy of the process has no threads of the server, and its descriptors are closed.
  if (state_ && state_->pid != os::this_process()) {
    [[maybe_unused]] const state* kept = state_.release();
  }
}

remote_server::state& remote_server::use() const {
  if (!state_) throw invalid_state_error("procpool: this remote server is empty: moved from");
  if (state_->pid != os::this_process()) {
    throw nested_use_error("procpool: a remote server belongs to the process that has made it");
  }
  return *state_;
}

void remote_server::require_open(const std::string& name, bool is_new) const {
  const state& s = use();
  const base::lock_guard lock(s.mutex);
  if (s.started || s.stop_asked) {
    throw invalid_state_error("procpool: a remote server exposes what it has before start()");
  }
  if (!is_new || name.empty()) {
    throw std::invalid_argument("procpool: the name '" + name + "' is empty, or exposed already");
  }
}

void remote_server::add_function(const std::string& name, detail::remote_entry entry) {
  require_open(name, !use().exposed.functions.contains(name) && name.size() <= longest_name);
  use().exposed.functions[name] = std::move(entry);
}

detail::remote_type_entry& remote_server::add_type(const std::string& name) {
  require_open(name, !use().exposed.types.contains(name) && name.size() <= longest_name);
  return use().exposed.types[name];
}

void remote_server::start() {
  state& s = use();
  const base::lock_guard one(s.stopping);
  const base::lock_guard lock(s.mutex);
  if (s.started || s.stop_asked) {
    throw invalid_state_error("procpool: this remote server was started already, or stopped");
  }
  s.exposed.share_objects();
  s.acceptor = std::thread([&s] { s.run(); });
  s.started = true;
}

void remote_server::stop() {
  state& s = use();
  if (server_of_this_thread == &s) {
    throw invalid_state_error(
        "procpool: stop() waits for the exposed functions, and cannot be called in one: "
        "request_stop()");
  }
  s.stop();
}

void remote_server::wait() {
  state& s = use();
  base::unique_lock lock(s.mutex);
  while (!s.stop_asked) s.asked.wait(lock);
}

void remote_server::request_stop() noexcept {
  if (!state_ || state_->pid != os::this_process()) return;
  const base::lock_guard lock(state_->mutex);
  state_->stop_asked = true;
  state_->asked.notify_all();
  os::signal_event_fd(state_->wake.get());
}

const std::string& remote_server::address() const { return use().address; }

remote_server::counts remote_server::count() const {
  const state& s = use();
  const base::lock_guard lock(s.mutex);
  counts now;
  now.clients = s.clients.size();
  for (const state::link& l : s.links) now.connections += l.over ? 0U : 1U;
  for (const auto& [id, client] : s.clients) now.objects += client->object_count();
  return now;
}

}  // namespace procpool
