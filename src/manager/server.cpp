// The manager does not count the proxies of its objects: each object has a token, a shared object
// of the program that all its proxies refer to (see manager/manager.cpp). Once the token is free,
// no process has a proxy, and the manager destroys the object. It checks the tokens several times a
// second while it has objects.
#include "manager/server.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>  // recursive_mutex
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "manager/protocol.hpp"
#include "objects/worker_registry.hpp"
#include "os/child_setup.hpp"
#include "os/error.hpp"
#include "os/event_fd.hpp"
#include "os/limits.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/socket.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::manager_protocol {
namespace {

using detail::object_ref;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_pause{250}, no_limit{-1}, retry_pause{10};
constexpr std::chrono::milliseconds longest_sleep{1000};
// The time in which a client of the same user has to send the secret.
constexpr std::chrono::seconds secret_limit{10};
// A client that has dropped its rights runs as another user, like any stranger. Connections of
// other users are accepted, but only few at once, and only for a moment until they have sent the
// secret.
constexpr int most_strangers = 128;
constexpr std::chrono::seconds strangers_limit{1};
// After this time without a descriptor for a client, the next client is declined.
constexpr std::chrono::seconds lacking_limit{1};

struct kept_object {
  std::recursive_mutex mutex;  // recursive: a call may call the object in which it began
  std::unique_ptr<detail::managed_object> object;
  object_ref token;
};

class manager_server final : public local_manager {
 public:
  manager_server(std::string name, manager_secret secret, os::user_id maker)
      : name_(std::move(name)), secret_(secret), maker_(maker), wake_(os::make_event_fd()) {}

  // Throws std::system_error if the thread cannot be started.
  void begin();
  // Serves until the other end of `parent` is closed.
  void run(os::private_fd listener, int parent);

  const std::string& name() const noexcept override { return name_; }
  void handle(const message& request, message_head& head, detail::noting_writer& reply) override;

 private:
  void accept(int listener);
  void cannot_accept(int listener, int error);
  bool is_stranger(int connection) const noexcept;
  bool knows_secret(int connection, bool stranger);
  void serve(const os::private_fd& connection, bool stranger);
  bool serve_one(int connection);
  void act(const message& request, detail::noting_writer& reply);
  void make(const message_head& head, detail::wire_reader& in);
  std::shared_ptr<kept_object> find(std::uint64_t number);
  void require_going_on() const REQUIRES(mutex_);
  void collect();
  std::vector<std::shared_ptr<kept_object>> take_dead() REQUIRES(destroying_);
  std::vector<std::shared_ptr<kept_object>> take_all() REQUIRES(destroying_);
  bool has_objects();

  const std::string name_;
  const manager_secret secret_;
  const os::user_id maker_;
  const os::private_fd wake_;
  // Closed for a moment to tell a client that no other descriptor is left.
  os::private_fd reserve_;
  std::optional<std::chrono::steady_clock::time_point> lacking_since_;
  std::atomic<int> strangers_{0};  // connections that have not sent the secret
  base::mutex destroying_;         // held while destructors run
  base::mutex mutex_;
  bool ending_ GUARDED_BY(mutex_) = false;
  std::map<std::uint64_t, std::shared_ptr<kept_object>> objects_ GUARDED_BY(mutex_);
};

// Destructors are code of the user. They run on a thread of their own, so that a destructor that
// blocks does not keep clients from connecting.
void manager_server::begin() {
  std::thread([this] { collect(); }).detach();
}

void manager_server::run(os::private_fd listener, int parent) {
  reserve_ = os::private_fd(os::duplicate_fd(wake_.get()));
  const pid_t starter = os::parent_process();
  for (;;) {
    std::array<os::poll_item, 2> items{};
    items[0].fd = parent;
    items[1].fd = listener.get();
    os::poll_items(items, longest_sleep);
    // A call may change the user, and then the kernel clears the setting by which this process dies
    // with its parent: it is set again.
    if (!os::die_with_parent(starter)) os::leave_process(0);
    if (items[0].readable) break;
    if (items[1].readable) accept(listener.get());
  }
  listener.reset();  // new clients are refused, and do not wait for destructors
  // Objects that a call is using are not destroyed: the process ends.
  const base::lock_guard destroying(destroying_);
  take_all();
}

// Destroys objects that no process can call any more.
void manager_server::collect() {
  for (;;) {
    std::array<os::poll_item, 1> item{};
    item[0].fd = wake_.get();
    os::clear_event_fd(wake_.get());  // before has_objects()
    os::poll_items(item, has_objects() ? look_pause : no_limit);
    try {
      const base::lock_guard destroying(destroying_);
      take_dead();
    } catch (const std::bad_alloc&) {
      // Tried again next time.
    }
  }
}

bool manager_server::has_objects() {
  const base::lock_guard lock(mutex_);
  return !objects_.empty();
}

std::vector<std::shared_ptr<kept_object>> manager_server::take_dead() {
  std::vector<std::shared_ptr<kept_object>> dead;
  const base::lock_guard lock(mutex_);
  for (auto at = objects_.begin(); at != objects_.end();) {
    if (!worker::worker_registry::instance().is_used(at->second->token)) {
      dead.push_back(at->second);
      at = objects_.erase(at);
    } else {
      ++at;
    }
  }
  return dead;
}

std::vector<std::shared_ptr<kept_object>> manager_server::take_all() {
  std::vector<std::shared_ptr<kept_object>> all;
  const base::lock_guard lock(mutex_);
  ending_ = true;
  all.reserve(objects_.size());
  for (const auto& [number, kept] : objects_) all.push_back(kept);
  objects_.clear();
  return all;
}

// Answers the first request of a client that is not served. The answer contains only what a
// stranger may know.
void decline(int connection, int error, const std::string& what) noexcept {
  try {
    const std::system_error why(error, std::generic_category(),
                                "procpool: a manager cannot serve this client: " + what);
    detail::noting_writer reply;
    message_head head;
    head.kind = message_kind::exception;
    wire::encode_exception(reply, std::make_exception_ptr(why), wire::origin::here(-1));
    send(connection, head, reply);
  } catch (const std::exception&) {
    // The end of the connection tells the client.
  }
}

void manager_server::accept(int listener) {
  auto connection = std::make_shared<os::private_fd>(os::accept_local(listener));
  if (!*connection) {
    cannot_accept(listener, errno);
    return;
  }
  lacking_since_.reset();
  const bool stranger = is_stranger(connection->get());
  if (stranger && strangers_.fetch_add(1) >= most_strangers) {
    --strangers_;
    return decline(connection->get(), EAGAIN, "too many processes of other users connect at once");
  }
  try {
    std::thread([this, connection, stranger] { serve(*connection, stranger); }).detach();
  } catch (const std::exception&) {
    if (stranger) --strangers_;
    decline(connection->get(), EAGAIN,
            "there are no threads or no memory for it: use fewer clients "
            "at a time, or raise the limit of processes (ulimit -u)");
  }
}

// A waiting client stays in the queue, and the listener stays readable: hence the pause.
void manager_server::cannot_accept(int listener, int error) {
  if (os::accept_failure_of(error) == os::accept_failure::nobody) return;
  os::poll_items({}, retry_pause);
  if (!os::lacks_descriptors(error)) return;
  const auto now = std::chrono::steady_clock::now();
  if (!lacking_since_) lacking_since_ = now;
  if (now - *lacking_since_ < lacking_limit || !reserve_) return;
  reserve_.reset();
  {
    const os::private_fd guest(os::accept_local(listener));
    if (guest) decline(guest.get(), error, "in its process: " + os::descriptor_advice(error));
  }
  reserve_ = os::private_fd(os::duplicate_fd(wake_.get()));
}

bool manager_server::is_stranger(int connection) const noexcept {
  const auto user = os::peer_user(connection);
  return !user || (*user != os::this_user() && *user != maker_);
}

bool manager_server::knows_secret(int connection, bool stranger) {
  manager_secret given;
  const bool told = os::receive_all_within(connection, std::as_writable_bytes(std::span(&given, 1)),
                                           stranger ? strangers_limit : secret_limit);
  if (stranger) --strangers_;
  return told && given == secret_;
}

void manager_server::serve(const os::private_fd& connection, bool stranger) {
  if (!knows_secret(connection.get(), stranger)) return;
  try {
    while (serve_one(connection.get())) {
    }
  } catch (const std::bad_alloc&) {
    // The end of the connection tells the client.
  }
}

// The message buffers live for one call only: an idle client does not keep the memory of its
// largest message.
bool manager_server::serve_one(int connection) {
  message request;
  if (!receive(connection, request)) return false;
  message_head head;
  detail::noting_writer reply;
  handle(request, head, reply);
  if (!send(connection, head, reply)) return false;
  if (head.names_objects == 0) return true;
  // `reply` holds the objects that it names until the client holds them.
  return receive_taken(connection);
}

void manager_server::handle(const message& request, message_head& head,
                            detail::noting_writer& reply) {
  try {
    act(request, reply);
    head.kind = message_kind::value;
    head.names_objects = reply.append_objects() ? 1 : 0;
  } catch (...) {
    reply.restart();
    head.kind = message_kind::exception;
    head.names_objects = 0;
    wire::encode_exception(reply, std::current_exception(), wire::origin::here(-1));
  }
}

void manager_server::act(const message& request, detail::noting_writer& reply) {
  std::size_t size = 0;
  const auto named = adopt_objects(request, size);
  detail::wire_reader in(request.bytes.data(), size);
  if (request.head.kind == message_kind::make) {
    make(request.head, in);
    return;
  }
  if (request.head.kind != message_kind::call) throw codec_error("a manager got no request");
  const auto thunk =
      reinterpret_cast<detail::call_thunk>(detail::from_code_ref({request.head.code}));
  const std::shared_ptr<kept_object> kept = find(request.head.number);
  const std::lock_guard one_at_a_time(kept->mutex);
  thunk(*kept->object, in, reply);
}

void manager_server::make(const message_head& head, detail::wire_reader& in) {
  const auto thunk = reinterpret_cast<detail::make_thunk>(detail::from_code_ref({head.code}));
  auto kept = std::make_shared<kept_object>();
  kept->object = thunk(in);
  kept->token = head.token;
  const base::lock_guard lock(mutex_);
  require_going_on();
  objects_[head.number] = std::move(kept);
  os::signal_event_fd(wake_.get());  // collect() has an object to check
}

std::shared_ptr<kept_object> manager_server::find(std::uint64_t number) {
  const base::lock_guard lock(mutex_);
  require_going_on();
  const auto at = objects_.find(number);
  if (at == objects_.end()) throw codec_error("a proxy names no object of its manager");
  return at->second;
}

void manager_server::require_going_on() const {
  if (!ending_) return;
  throw manager_lost_error("procpool: this manager is ending, and its objects with it");
}

bool answer(int parent, std::int32_t error) noexcept {
  return os::send_all(parent, std::as_bytes(std::span(&error, 1)));
}

// Receives the listening socket from the parent, which made it before any proxy existed. Returns an
// empty descriptor when the parent is gone, or after this process has sent it the reason.
os::private_fd receive_listener(int parent) {
  std::byte one{};
  auto received = os::receive_message(parent, {&one, 1}, os::blocking::yes);
  if (received.fds_lost) answer(parent, EMFILE);
  if (received.size != 1 || received.fd_count != 1) return {};
  return os::private_fd(std::move(received.fds[0]));
}

}  // namespace

void serve_manager(const std::string& name, std::uint64_t secret0, std::uint64_t secret1,
                   std::uint32_t user) {
  os::ignore_interrupts();  // the program decides when it ends
  const manager_secret secret{{secret0, secret1}};
  const os::private_fd parent(os::connect_local(name));
  if (!parent && errno != ECONNREFUSED) os::throw_errno("a manager cannot reach its program");
  if (!parent || os::peer_user(parent.get()) != user ||
      !os::send_all(parent.get(), std::as_bytes(std::span(&secret, 1)))) {
    return;  // the parent is gone
  }
  os::private_fd listener = receive_listener(parent.get());
  if (!listener) return;
  // Never destroyed: threads may still use it when the process ends.
  manager_server* made = nullptr;
  try {
    made = new manager_server(name, secret, user);
    made->begin();
  } catch (const std::system_error& e) {
    answer(parent.get(), e.code().value());
    return;
  }
  manager_server& server = *made;
  set_this_manager(server);
  if (!answer(parent.get(), 0)) return;
  server.run(std::move(listener), parent.get());
}

}  // namespace procpool::manager_protocol
