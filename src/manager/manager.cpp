// procpool::manager and the way from a proxy to its object.
//
// The parent listens on a name that nobody can guess, starts the process, which connects, and hands
// the listening socket over: from then on whoever has a proxy finds the manager under that name,
// and nobody once it is dead. What a proxy holds is a small shared object, the token: its memory
// says where the object is, and that any process holds it keeps the object (see
// worker/manager_server).
#include "procpool/manager.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "manager/protocol.hpp"
#include "manager/server.hpp"
#include "objects/parent_registry.hpp"
#include "os/child_setup.hpp"
#include "os/error.hpp"
#include "os/limits.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/socket.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"
#include "wire/exception_codec.hpp"

namespace procpool {
namespace {

using sync::manager_address;
using sync::manager_secret;
using sync::message;
using sync::message_head;
using sync::message_kind;

constexpr std::size_t most_idle = 8;       // connections to one manager
constexpr std::size_t most_managers = 16;  // with idle connections
constexpr duration patience = std::chrono::seconds(5);
constexpr std::chrono::seconds start_limit{30};
constexpr std::chrono::milliseconds retry_pause{10}, look_pause{100};

[[noreturn]] void throw_lost() {
  throw manager_lost_error(
      "procpool: the process of this manager has ended, and its objects with it");
}

[[noreturn]] void throw_system(int error, const std::string& what) {
  os::throw_error(
      error,
      (os::lacks_descriptors(error) ? what + ": " + os::descriptor_advice(error) : what).c_str());
}

// --- connections
// -----------------------------------------------------------------------------------

// Those of this process that no call is using. A copy of the process has none: they are closed
// there, and the lock may be somebody else's.
class connection_store {
 public:
  static connection_store& here() {
    static std::atomic<connection_store*> current{nullptr};
    connection_store* store = current.load(std::memory_order_acquire);
    while (store == nullptr || store->pid_ != os::this_process()) {
      auto* const fresh = new connection_store;
      if (current.compare_exchange_strong(store, fresh, std::memory_order_acq_rel)) return *fresh;
      delete fresh;  // another thread was faster
    }
    return *store;
  }

  os::private_fd take(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto at = idle_.find(name);
    if (at == idle_.end()) return {};
    os::private_fd last;
    // The program may have closed some.
    while (!last.is_ours() && !at->second.empty()) {
      last = std::move(at->second.back());
      at->second.pop_back();
    }
    return last.is_ours() ? std::move(last) : os::private_fd();
  }
  void put(const std::string& name, os::private_fd connection) {
    const std::lock_guard lock(mutex_);
    if (!idle_.contains(name)) drop_ended();
    if (idle_.size() >= most_managers && !idle_.contains(name)) idle_.clear();
    auto& list = idle_[name];
    if (list.size() < most_idle) list.push_back(std::move(connection));
  }
  void forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    idle_.erase(name);
  }

 private:
  // Those of managers that have ended since: nobody says anything on an idle one but its end.
  void drop_ended() {
    std::erase_if(idle_, [](const auto& of) {
      return of.second.empty() || os::is_readable(of.second.back().get());
    });
  }

  const pid_t pid_ = os::this_process();
  std::mutex mutex_;
  std::map<std::string, std::vector<os::private_fd>> idle_;
};

os::private_fd connect(const std::string& name, const manager_address& to) {
  os::private_fd fresh(os::connect_local(name));
  if (!fresh) {
    const int error = errno;
    if (error == ECONNREFUSED) throw_lost();
    throw_system(error, "cannot reach a manager");
  }
  // Before the secret is told.
  if (const auto user = os::peer_user(fresh.get()); !user || *user != to.user) {
    throw manager_lost_error(
        "procpool: a process of another user listens under this manager's name: the manager has "
        "ended, and the other process has taken its name, or this process has entered another user "
        "namespace");
  }
  // If the manager turns us away its answer says why: see receive().
  static_cast<void>(os::send_all(fresh.get(), std::as_bytes(std::span(&to.secret, 1))));
  return fresh;
}

}  // namespace

// --- calls
// -----------------------------------------------------------------------------------------

namespace detail {

// Not shown, though it lies in a class that is.
struct __attribute__((visibility("hidden"))) manager_reply::state {
  std::string name;
  os::private_fd connection;  // empty: this process is the manager
  bool answered = false;      // and the whole answer is here
  message_head head;          // in that case
  message_writer local;       // and this
  message received;
  std::vector<shared_object> named;
  std::unique_ptr<wire_reader> reader;

  ~state() { finish(); }
  void ask(const shared_object& token, message_kind kind, const void* thunk, message_writer& bytes);
  void exchange(const manager_address& to, message_head request, message_writer& bytes);
  void open();
  void finish() noexcept;
};

void require_caller(const shared_object& token) {
  if (!token) {
    throw invalid_state_error(
        "procpool: this proxy is empty: it was moved from, or never had an object");
  }
  const runtime::process_role role = runtime::current_role();
  if (role == runtime::process_role::worker) return;
  const auto* const here =
      role == runtime::process_role::parent ? parent::objects::existing() : nullptr;
  if (here != nullptr && token.use()->home == here) return;
  throw nested_use_error(
      "procpool: a process that was forked from the program, or from one of its workers, cannot "
      "call the managers that it has inherited, nor have any in a task");
}

void manager_reply::state::ask(const shared_object& token, message_kind kind, const void* thunk,
                               message_writer& bytes) {
  require_caller(token);
  manager_address to;
  if (token.bytes() < sizeof(to)) throw codec_error("a proxy names no object of a manager");
  std::memcpy(&to, token.data(), sizeof(to));
  if (to.number == 0) {
    throw nested_use_error(
        "procpool: a static proxy has its object in the program only: pass it to the task as an "
        "argument");
  }
  message_head request;
  request.kind = kind;
  request.number = to.number;
  request.token = token.use()->ref;
  request.code = to_code_ref(thunk).bits;
  exchange(to, request, bytes);
  open();
}

// One request and its reply, whichever way.
void manager_reply::state::exchange(const manager_address& to, message_head request,
                                    message_writer& bytes) {
  name.assign(to.name, strnlen(to.name, sizeof(to.name)));
  request.names_objects = bytes.append_objects() ? 1 : 0;
  sync::local_manager* const here = sync::this_manager();
  if (here != nullptr && here->name() == name) {
    message m{request, {bytes.data(), bytes.data() + bytes.size()}};
    here->handle(m, head, local);
    received = {head, {local.data(), local.data() + local.size()}};
    return;
  }
  connection = connection_store::here().take(name);
  if (!connection) connection = connect(name, to);
  const bool sent = sync::send(connection.get(), request, bytes);
  // Also if it takes no more: it may have turned us away, and said why.
  if (!sync::receive(connection.get(), received)) {
    connection_store::here().forget(name);
    throw_lost();
  }
  answered = sent;
}

void manager_reply::state::open() {
  std::size_t size = 0;
  if (received.head.kind == message_kind::value) {
    named = sync::adopt_objects(received, size);
    reader = std::make_unique<wire_reader>(received.bytes.data(), size);
    return;
  }
  if (received.head.kind != message_kind::exception) {
    answered = false;
    throw codec_error("a manager sent no reply");
  }
  wire_reader in(received.bytes.data(), received.bytes.size());
  std::rethrow_exception(procpool::wire::decode_exception(in, {}));
}

manager_reply::manager_reply(const shared_object& token, make_thunk thunk, message_writer& request)
    : state_(std::make_unique<state>()) {
  state_->ask(token, message_kind::make, reinterpret_cast<const void*>(thunk), request);
}

manager_reply::manager_reply(const shared_object& token, call_thunk thunk, message_writer& request)
    : state_(std::make_unique<state>()) {
  state_->ask(token, message_kind::call, reinterpret_cast<const void*>(thunk), request);
}

manager_reply::~manager_reply() = default;

wire_reader& manager_reply::reader() { return *state_->reader; }

// What the reply named is held here; the manager may let go, and the next call may come. On a
// connection whose answer did not arrive whole (there was no memory for it) nothing can follow.
void manager_reply::state::finish() noexcept {
  if (!connection || !answered) return;
  if (received.head.names_objects != 0 && !sync::send(connection.get(), message_kind::taken)) {
    return;
  }
  try {
    connection_store::here().put(name, std::move(connection));
  } catch (const std::bad_alloc&) {
    // It is closed instead.
  }
}

}  // namespace detail

// --- the manager
// -----------------------------------------------------------------------------------

struct manager::state {
  const detail::home_process home;
  std::string name;
  manager_secret secret;
  process child;
  std::mutex mutex;        // of control
  os::private_fd control;  // its end is the order to end
  const os::user_id user = os::this_user();
  std::atomic<std::uint64_t> next_number{1};

  using time_point = std::chrono::steady_clock::time_point;
  void start(process_options options);
  os::private_fd await_child(int listener, time_point until);
  void hand_over(int listener, time_point until);
  [[noreturn]] void throw_stillborn() const;
};

namespace {

std::string random_name() {
  std::array<std::byte, 16> bytes{};
  os::fill_random(bytes);
  std::string name = "procpool-";
  for (const std::byte b : bytes) {
    name += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4U];
    name += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15U];
  }
  return name;
}

}  // namespace

os::private_fd listen_as(const std::string& name) {
  try {
    return os::private_fd(os::listen_local(name));
  } catch (const std::system_error& e) {
    throw_system(e.code().value(), "cannot start a manager");
  }
}

std::chrono::milliseconds left_until(std::chrono::steady_clock::time_point end) {
  const auto left = end - std::chrono::steady_clock::now();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(left), std::chrono::milliseconds(0));
}

constexpr char too_late[] =
    "procpool: the process of a manager did not come to life within 30 s: it was stopped, or this "
    "machine has too much to do";

void manager::state::throw_stillborn() const {
  child.join_for(std::chrono::seconds(1));  // for its exit code
  const std::optional<int> code = child.exit_code();
  throw error("procpool: the process of a manager ended as it began" +
              (code ? ", with exit code " + std::to_string(*code) : std::string()) +
              ": what it wrote to standard error may say why");
}

// The child's first connection. Who else comes has guessed 128 bits, or is turned away.
os::private_fd manager::state::await_child(int listener, time_point until) {
  for (;;) {
    std::chrono::milliseconds left = left_until(until);
    if (left.count() == 0) throw error(too_late);
    if (!os::poll_one(listener, os::poll_for::input, std::min(left, look_pause)).readable) {
      if (!child.is_alive()) throw_stillborn();
      continue;
    }
    os::private_fd guest(os::accept_local(listener));
    if (!guest) {
      // The child waits in the listener's queue, which stays readable.
      const int why = errno;
      if (os::lacks_descriptors(why)) throw_system(why, "cannot accept the process of a manager");
      if (os::accept_failure_of(why) == os::accept_failure::broken) {
        throw_system(why, "cannot accept the process of a manager");
      }
      os::poll_items({}, retry_pause);
      continue;
    }
    left = left_until(until);
    manager_secret given;
    if (os::peer_pid(guest.get()) == child.pid() &&
        os::receive_all_within(guest.get(), std::as_writable_bytes(std::span(&given, 1)), left) &&
        given == secret) {
      return guest;
    }
  }
}

// The child answers with 0, or with what keeps it from being a manager.
void manager::state::hand_over(int listener, time_point until) {
  const std::byte one{1};
  const int failed = os::send_message(control.get(), {&one, 1}, {&listener, 1}, os::blocking::yes);
  if (failed != 0 && failed != -EPIPE) throw_system(-failed, "cannot start a manager");
  std::int32_t answer = 0;
  if (!os::receive_all_within(control.get(), std::as_writable_bytes(std::span(&answer, 1)),
                              left_until(until))) {
    if (left_until(until).count() == 0) throw error(too_late);
    throw_stillborn();
  }
  if (answer != 0) throw_system(answer, "cannot start a manager, in its process");
}

void manager::state::start(process_options options) {
  runtime::install_fork_handlers();
  name = random_name();
  os::fill_random(std::as_writable_bytes(std::span(&secret, 1)));
  if (options.name.empty()) options.name = "manager";
  const os::private_fd listener = listen_as(name);
  const time_point until = std::chrono::steady_clock::now() + start_limit;
  child = process(options, &worker::serve_manager, name, secret.words[0], secret.words[1], user);
  try {
    control = await_child(listener.get(), until);
    hand_over(listener.get(), until);
  } catch (...) {
    child.end_at_once();
    throw;
  }
}

manager::manager(process_options options) : state_(std::make_unique<state>()) {
  // Static objects are constructed in the fork server, too.
  if (runtime::current_role() == runtime::process_role::fork_server) return;
  state_->start(std::move(options));
}
manager::manager(manager&&) noexcept = default;
manager& manager::operator=(manager&& other) noexcept {
  if (this != &other) {
    shutdown();
    state_ = std::move(other.state_);
  }
  return *this;
}
manager::~manager() { shutdown(); }

void manager::shutdown() noexcept {
  if (!state_) return;
  if (!state_->home.is_here()) {
    // Its descriptors are closed in a copy of the process.
    [[maybe_unused]] const state* kept = state_.release();
    return;
  }
  {
    const std::lock_guard lock(state_->mutex);
    state_->control.reset();
  }
  connection_store::here().forget(state_->name);
  if (!state_->child.join_for(patience)) state_->child.end_at_once();
}

pid_t manager::pid() const { return use().child.pid(); }
bool manager::is_alive() const { return use().child.is_alive(); }

manager::state& manager::use() const {
  if (!state_) throw invalid_state_error("procpool: this manager is empty: it was moved from");
  if (state_->home.is_here()) return *state_;
  throw nested_use_error(
      "procpool: a manager belongs to the process that has made it, not to one that was forked "
      "since "
      "nor to a task: pass its proxies to tasks and processes");
}

detail::shared_object manager::make_object(detail::make_thunk thunk,
                                           detail::message_writer& request) {
  // A static proxy of a static manager: it has an object in the program only.
  if (state_ && runtime::current_role() == runtime::process_role::fork_server) {
    return detail::shared_object::create(sizeof(manager_address));
  }
  state& s = use();
  if (!s.child.is_alive()) throw_lost();
  manager_address address{};
  std::copy(s.name.begin(), s.name.end(), address.name);
  address.secret = s.secret;
  address.user = s.user;
  address.number = s.next_number.fetch_add(1);
  detail::shared_object token = detail::shared_object::create(sizeof(address));
  std::memcpy(token.data(), &address, sizeof(address));
  const detail::manager_reply done(token, thunk, request);
  return token;
}

}  // namespace procpool
