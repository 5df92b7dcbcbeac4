// procpool::manager, in the program that owns it, and how a proxy finds its object.
//
// The program listens on a name that cannot be guessed and starts the manager's process, which
// connects and receives the listening socket: from then on every process that has a proxy finds the
// manager under that name, and no process does once the manager is dead. A proxy holds a small
// shared object, the token: its memory names the object and where its manager is, and the object
// stays while any process holds the token (see manager/server.cpp).
#include "procpool/manager.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "base/guarded.hpp"
#include "manager/protocol.hpp"
#include "manager/proxy_call.hpp"
#include "manager/server.hpp"
#include "os/child_setup.hpp"
#include "os/limits.hpp"
#include "os/local_socket.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/socket.hpp"
#include "procpool/detail/task/home_process.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool {
namespace {

using manager_protocol::manager_address;
using manager_protocol::manager_secret;
using manager_protocol::throw_lost;
using manager_protocol::throw_system;

constexpr duration shutdown_grace = std::chrono::seconds(5);
constexpr std::chrono::seconds start_limit{30};
constexpr std::chrono::milliseconds retry_pause{10}, look_pause{100};

}  // namespace

struct manager::state {
  const detail::home_process home;
  std::string name;
  manager_secret secret;
  process child;
  base::mutex mutex;
  os::private_fd control GUARDED_BY(mutex);  // closing it makes the manager end
  const os::user_id user = os::this_user();
  std::atomic<std::uint64_t> next_number{1};

  using time_point = std::chrono::steady_clock::time_point;
  void start(process_options options);
  os::private_fd await_child(int listener, time_point until);
  void hand_over(int connection, int listener, time_point until) const;
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

}  // namespace

void manager::state::throw_stillborn() const {
  child.join_for(std::chrono::seconds(1));  // to know its exit code
  const std::optional<int> code = child.exit_code();
  throw error("procpool: the process of a manager ended as it began" +
              (code ? ", with exit code " + std::to_string(*code) : std::string()) +
              ": what it wrote to standard error may say why");
}

// Waits for the child's first connection. A connection of another process, or with another secret,
// is closed.
os::private_fd manager::state::await_child(int listener, time_point until) {
  for (;;) {
    std::chrono::milliseconds left = left_until(until);
    if (left.count() == 0) throw error(too_late);
    if (!os::poll_one(listener, os::poll_for::input, std::min(left, look_pause)).readable) {
      if (!child.is_alive()) throw_stillborn();
      continue;
    }
    os::private_fd connection(os::accept_local(listener));
    if (!connection) {
      // The child waits in the listener's queue, so the listener stays readable.
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
    if (os::peer_pid(connection.get()) == child.pid() &&
        os::receive_all_within(connection.get(), std::as_writable_bytes(std::span(&given, 1)),
                               left) &&
        given == secret) {
      return connection;
    }
  }
}

// Sends the listening socket to the child, which answers with 0, or with the errno value that
// prevents it from being a manager.
void manager::state::hand_over(int connection, int listener, time_point until) const {
  const std::byte one{1};
  const int failed = os::send_message(connection, {&one, 1}, {&listener, 1}, os::blocking::yes);
  if (failed != 0 && failed != -EPIPE) throw_system(-failed, "cannot start a manager");
  std::int32_t answer = 0;
  if (!os::receive_all_within(connection, std::as_writable_bytes(std::span(&answer, 1)),
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
  child = process(options, &manager_protocol::serve_manager, name, secret.words[0], secret.words[1],
                  user);
  try {
    os::private_fd connection = await_child(listener.get(), until);
    hand_over(connection.get(), listener.get(), until);
    const base::lock_guard lock(mutex);
    control = std::move(connection);
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
    // In a copy of the process the descriptors are already closed.
    [[maybe_unused]] const state* kept = state_.release();
    return;
  }
  {
    const base::lock_guard lock(state_->mutex);
    state_->control.reset();
  }
  manager_protocol::forget_connections(state_->name);
  if (!state_->child.join_for(shutdown_grace)) state_->child.end_at_once();
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
                                           detail::noting_writer& request) {
  // A static proxy of a static manager has an object in the program only.
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
