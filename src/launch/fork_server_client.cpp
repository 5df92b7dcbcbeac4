#include "launch/fork_server_client.hpp"

#include <algorithm>
#include <cerrno>
#include <new>
#include <optional>
#include <utility>

#include "launch/fork_server_state.hpp"
#include "launch/protocol.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"

namespace procpool::launch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds no_wait{0};
constexpr int code_killed = 2;  // CLD_KILLED

}  // namespace

// --- requests ------------------------------------------------------------------------------------

// False when the socket is full. A message to a server that is gone counts as sent: the server's
// end is an event of its own.
bool fork_server_client::state::send(const command& message) {
  if (!control.is_ours()) return true;
  return send_struct(control.get(), message, {}, os::blocking::no) != -EAGAIN;
}

// Keeps the order of messages, so that a worker is signalled after it was requested.
bool fork_server_client::state::send_or_keep(const command& message) noexcept {
  if (!control.is_ours()) return false;
  if (unsent.empty()) {
    const int error = send_struct(control.get(), message, {}, os::blocking::no);
    if (error != -EAGAIN) return error == 0;
  }
  try {
    unsent.push_back(message);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void fork_server_client::state::flush() {
  const base::lock_guard lock(mutex);
  while (!unsent.empty() && send(unsent.front())) unsent.pop_front();
}

void fork_server_client::start_worker(seat_id id, std::uint64_t argument,
                                      const os::signal_actions& signals) {
  command message;
  message.what = command::op::start;
  message.id = id;
  message.argument = argument;
  message.signals = signals;
  const base::lock_guard lock(state_->mutex);
  if (id.seat >= max_seats || state_->workers.count(id.seat) != 0) {
    os::throw_error(EINVAL, "cannot start a worker on a seat that is taken or does not exist");
  }
  // The message first: once the seat is taken nothing throws any more.
  state_->unsent.emplace_back(message);
  const bool alone = state_->unsent.size() == 1;
  try {
    state_->workers[id.seat].incarnation = id.incarnation;
  } catch (...) {
    state_->unsent.pop_back();
    throw;
  }
  state_->begin_silence();
  // A lost server sends no answer: the end of the lifeline shows that no worker started.
  if (state_->server_lost) state_->events.add(state_->lifeline.get());
  // The server answers each command in the socket, and each answer triggers sending the next ones.
  if (alone && state_->send(message)) state_->unsent.pop_back();
}

bool fork_server_client::signal_worker(seat_id id, int signal) noexcept {
  const base::lock_guard lock(state_->mutex);
  const auto at = state_->workers.find(id.seat);
  if (at == state_->workers.end() || at->second.incarnation != id.incarnation ||
      at->second.pid == 0) {
    return false;
  }
  if (at->second.pidfd.is_ours()) {
    const int error = os::pidfd_signal(at->second.pidfd.get(), signal);
    if (error == 0 || error == ESRCH) return error == 0;
  }
  // There is no pidfd, or the kernel refuses the signal. The server knows which of its children are
  // alive, and may have the permission that this process has given up.
  command message;
  message.what = command::op::signal;
  message.id = id;
  message.signal = signal;
  return state_->send_or_keep(message);
}

// --- events --------------------------------------------------------------------------------------

std::optional<server_event> fork_server_client::next_event() {
  state& s = *state_;
  if (s.finished) return std::nullopt;
  while (!s.server_lost) {
    // The program has closed the socket: the server has seen its end, and kills its workers.
    if (!s.control.is_ours()) {
      s.lose_server();
      break;
    }
    report message;
    auto received = receive_struct(s.control.get(), message, os::blocking::no);
    if (received.size == -EAGAIN) {
      s.flush();
      s.watch_silence();
      return std::nullopt;
    }
    s.silent_since.reset();
    // The kernel returns this once if the server left commands unread; last reports may follow.
    if (received.size == -ECONNRESET) continue;
    if (received.size <= 0) {
      s.lose_server();
      break;
    }
    os::unique_fd pidfd = received.fd_count > 0 ? std::move(received.fds[0]) : os::unique_fd();
    if (auto event = s.translate(message, std::move(pidfd))) return event;
  }
  return s.next_death();
}

// Empty for a report about a worker that was not requested.
std::optional<server_event> fork_server_client::state::translate(const report& message,
                                                                 os::unique_fd pidfd) {
  if (message.what == report::kind::spare) spare = message.pid;
  const base::lock_guard lock(mutex);
  const auto at = workers.find(message.id.seat);
  if (at == workers.end() || at->second.incarnation != message.id.incarnation) return std::nullopt;
  server_event event;
  event.id = message.id;
  event.pid = message.pid;
  event.exit_kind = message.code;
  event.exit_status = message.status;
  event.error = message.error;
  switch (message.what) {
    case report::kind::started:
      event.what = server_event::kind::started;
      at->second.pid = message.pid;
      at->second.pidfd = os::private_fd(std::move(pidfd));
      if (at->second.pidfd) events.add_once(at->second.pidfd.get());
      return event;
    case report::kind::exited:
      event.what = server_event::kind::exited;
      if (at->second.pidfd) events.remove(at->second.pidfd.get());
      break;
    case report::kind::start_failed:
      event.what = server_event::kind::start_failed;
      break;
    default:
      return std::nullopt;
  }
  workers.erase(at);
  return event;
}

bool fork_server_client::server_lives() const noexcept {
  const os::private_fd& pidfd = state_->server_pidfd;
  return !pidfd || !os::pidfd_dead(pidfd.get());
}

bool fork_server_client::has_descriptors() const noexcept { return state_->has_descriptors(); }

os::unique_fd fork_server_client::duplicate_pidfd(seat_id id) const noexcept {
  const base::lock_guard lock(state_->mutex);
  const auto at = state_->workers.find(id.seat);
  if (at == state_->workers.end() || at->second.incarnation != id.incarnation) return {};
  return at->second.pidfd ? os::duplicate_fd(at->second.pidfd.get()) : os::unique_fd();
}

bool fork_server_client::lost() const noexcept { return state_->server_lost; }

std::chrono::milliseconds fork_server_client::poll_timeout() const noexcept {
  return state_->silent_since && !state_->server_lost ? longest_silence + 1ms : -1ms;
}

bool fork_server_client::state::owes_an_answer() {
  const base::lock_guard guard(mutex);
  return std::any_of(workers.begin(), workers.end(), [](const auto& w) {
    return w.second.pid == 0 || (w.second.pidfd && os::pidfd_dead(w.second.pidfd.get()));
  });
}

void fork_server_client::state::begin_silence() noexcept {
  if (silent_since) return;
  silent_since = in_debt_since = std::chrono::steady_clock::now();
}

// The server answers a start at once, and reports a death soon after the worker's pidfd shows it.
// If that takes long, the server was stopped, perhaps by a task, and SIGCONT makes it run again. If
// that does not help, or the signal is not permitted, the server counts as dead.
void fork_server_client::state::watch_silence() {
  events.clear();
  if (!owes_an_answer()) {
    silent_since.reset();
    return;
  }
  begin_silence();
  const auto now = std::chrono::steady_clock::now();
  if (now - *silent_since < longest_silence) return;
  const bool given_up = now - in_debt_since >= longest_debt;
  if (server_pidfd) {
    os::pidfd_signal(server_pidfd.get(), given_up ? killed_signal : continue_signal);
  }
  silent_since = now;
  if (given_up) lose_server();
}

// --- a server that is lost -----------------------------------------------------------------------

// From here on a worker's death is proved by its pidfd, or by the end of the lifeline. Both become
// readable in the event set.
void fork_server_client::state::lose_server() {
  server_lost = true;
  const base::lock_guard lock(mutex);
  if (!has_descriptors()) {
    forget_descriptors();
    return;
  }
  events.remove(control.get());
  control.reset();
  unsent.clear();
  bool lifeline_needed = false;
  for (auto& [seat, worker] : workers) {
    if (worker.pidfd) {
      // Workers die with the server, unless a task has prevented that.
      os::pidfd_signal(worker.pidfd.get(), killed_signal);
      events.remove(worker.pidfd.get());
    }
    if (!worker.pidfd || events.add(worker.pidfd.get()) != 0) lifeline_needed = true;
  }
  if (lifeline_needed) events.add(lifeline.get());
}

// Called when the program has closed the descriptors. The client uses none of them any more, since
// their numbers may belong to files of the program now.
void fork_server_client::state::forget_descriptors() noexcept {
  control.reset();
  for (auto& [seat, worker] : workers) static_cast<void>(worker.pidfd.release().release());
  static_cast<void>(server_pidfd.release().release());
  events.forget();
  unsent.clear();
}

// True when no process holds the write end of the lifeline.
bool fork_server_client::state::all_dead(std::chrono::milliseconds max) const noexcept {
  return os::poll_one(lifeline.get(), os::poll_for::nothing, max).hung_up && lifeline.is_ours();
}

std::optional<server_event> fork_server_client::state::next_death() {
  const base::lock_guard lock(mutex);
  const bool blind = !has_descriptors();
  const bool all_are_dead = !blind && all_dead(no_wait);
  for (auto at = workers.begin(); at != workers.end(); ++at) {
    known_worker& worker = at->second;
    // By the pidfd if there is one: a process closes its descriptors a moment before it is dead.
    const bool dead = worker.pidfd ? os::pidfd_dead(worker.pidfd.get()) : all_are_dead;
    if (!dead && !blind) continue;
    server_event event;
    event.what = server_event::kind::exited;
    event.id = {at->first, worker.incarnation};
    event.pid = worker.pid;
    event.exit_kind = code_killed;
    event.exit_status = killed_signal;
    event.error = blind ? EBADF : EOWNERDEAD;
    if (worker.pidfd) events.remove(worker.pidfd.get());
    if (worker.pid != 0) adopted.push_back(worker.pid);
    workers.erase(at);
    return event;
  }
  if (!workers.empty()) return std::nullopt;
  finished = true;
  if (!blind) events.remove(lifeline.get());
  return server_event{};
}

}  // namespace procpool::launch
