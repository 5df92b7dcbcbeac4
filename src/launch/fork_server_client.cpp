// Descriptors of one client:
//
//   control    the socket to the server; its end means that the server is dead
//   lifeline   read end of a pipe whose write end only the server and its workers have: its end
//              means that all of them are dead, also those of which nothing else is known
//   pidfds     of the server and of each worker: signals that never hit another process, and the
//              proof of a worker's death when the server cannot give it any more

#include "launch/fork_server_client.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "launch/protocol.hpp"
#include "launch/start_server.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/error.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds no_wait{0};
constexpr int killed_signal = 9;
constexpr int continue_signal = 18;
constexpr int code_killed = 2;  // CLD_KILLED

struct known_worker {
  std::uint32_t incarnation = 0;
  pid_t pid = 0;         // 0: asked for, not answered yet
  os::private_fd pidfd;  // empty: not answered, or none to be had
};

}  // namespace

struct fork_server_client::state {
  os::private_fd control;
  os::private_fd lifeline;
  pid_t server = 0;
  os::private_fd server_pidfd;  // empty where there are none
  pid_t spare = 0;
  std::vector<pid_t> adopted;  // workers that a dead server has left
  os::event_set events;
  bool server_lost = false;
  std::optional<std::chrono::steady_clock::time_point>
      silent_since;                                     // or since it was told to go on
  std::chrono::steady_clock::time_point in_debt_since;  // if silent_since
  bool finished = false;                                // server_gone was given, or stop() called

  std::mutex mutex;  // workers and unsent: signal_worker() comes from any thread
  std::map<std::uint32_t, known_worker> workers;
  std::deque<command> unsent;

  void greet(const server_config& config, os::unique_fd lifeline_writer);
  bool send(const command& message);
  bool send_or_keep(const command& message) noexcept;
  void flush();
  std::optional<server_event> translate(const report& message, os::unique_fd pidfd);
  void lose_server();
  bool has_descriptors() const noexcept {
    return !lifeline || (lifeline.is_ours() && events.is_ours());
  }
  void forget_descriptors() noexcept;
  void begin_silence() noexcept;
  bool all_dead(std::chrono::milliseconds max) const noexcept;
  void reap_adopted() noexcept;
  void hear_the_last();
  std::optional<server_event> next_death();
  bool owes_an_answer();
  void watch_silence();
  void wait_for_end(std::chrono::milliseconds grace);
};

// --- start ---------------------------------------------------------------------------------------

namespace {

pid_t start_process(start_method method, int server_end) {
  switch (method) {
    case start_method::fork:
      return start_by_fork(server_end);
    case start_method::forkserver:
      return start_by_master(server_end);
    case start_method::spawn:
      break;
  }
  return start_by_exec(server_end);
}

// Whatever keeps the server from its work leaves the pool without workers, and is told as that. A
// fork that would be unsafe is the program's own doing, and stays an error of its own.
server_process start_server(start_method method, os::private_fd server_end, int parent_end) {
  try {
    const pid_t pid = start_process(method, server_end.get());
    server_end.reset();
    return await_ready(parent_end, pid);
  } catch (const unsafe_fork_error&) {
    throw;
  } catch (const std::exception& cause) {
    std::throw_with_nested(broken_process_pool(cause.what()));
  }
}

}  // namespace

// Before the server exists: the message waits in the socket for it.
void fork_server_client::state::greet(const server_config& config, os::unique_fd lifeline_writer) {
  const os::private_fd writer(std::move(lifeline_writer));
  const os::private_fd self(own_pidfd());
  hello greeting;
  greeting.kind = server_kind::pool;
  greeting.has_parent_pidfd = static_cast<bool>(self);
  greeting.has_stderr = config.stderr_fd >= 0;
  greeting.has_spare = config.spare;
  greeting.has_interrupts = config.interrupts;
  greeting.parent = os::this_process();
  int fds[5] = {config.region_fd, config.page_fd, writer.get()};
  std::size_t count = 3;
  if (self) fds[count++] = self.get();
  if (config.stderr_fd >= 0) fds[count++] = config.stderr_fd;
  const int error = send_struct(control.get(), greeting, std::span(fds, count), os::blocking::no);
  if (error != 0) os::throw_error(-error, "cannot greet the fork server");
}

std::unique_ptr<fork_server_client> fork_server_client::start(const server_config& config) {
  if (runtime::current_role() != runtime::process_role::parent) {
    throw nested_use_error(
        "procpool: only the program itself can have worker processes, not a task "
        "and not a process that a task has forked");
  }
  runtime::install_fork_handlers();
  auto s = std::make_unique<state>();
  os::socket_pair pair = os::make_socket_pair();
  s->control = os::private_fd(std::move(pair.first));
  os::private_fd server_end(std::move(pair.second));
  os::pipe_ends lifeline = os::try_make_pipe();
  if (!lifeline.reader) os::throw_errno("cannot create a pipe");
  s->lifeline = os::private_fd(std::move(lifeline.reader));
  s->greet(config, std::move(lifeline.writer));

  server_process started = start_server(config.start, std::move(server_end), s->control.get());
  s->server = started.pid;
  s->server_pidfd = os::private_fd(std::move(started.pidfd));
  if (int error = s->events.add(s->control.get()); error != 0) {
    os::throw_error(error, "cannot watch the fork server");
  }
  return std::unique_ptr<fork_server_client>(new fork_server_client(std::move(s)));
}

fork_server_client::fork_server_client(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
fork_server_client::~fork_server_client() { stop(default_grace); }

int fork_server_client::event_fd() const noexcept { return state_->events.fd(); }
pid_t fork_server_client::server_pid() const noexcept { return state_->server; }

// --- requests
// --------------------------------------------------------------------------------------

// False when the socket takes no more now. A server that is gone takes everything; its end is an
// event of its own.
bool fork_server_client::state::send(const command& message) {
  if (!control.is_ours()) return true;
  return send_struct(control.get(), message, {}, os::blocking::no) != -EAGAIN;
}

// After what waits already, so that a worker is signalled after it was asked for.
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
  const std::lock_guard lock(mutex);
  while (!unsent.empty() && send(unsent.front())) unsent.pop_front();
}

void fork_server_client::start_worker(seat_id id, std::uint64_t argument,
                                      const os::signal_actions& signals) {
  command message;
  message.what = command::op::start;
  message.id = id;
  message.argument = argument;
  message.signals = signals;
  const std::lock_guard lock(state_->mutex);
  if (id.seat >= max_seats || state_->workers.count(id.seat) != 0) {
    os::throw_error(EINVAL, "cannot start a worker on a seat that is taken or does not exist");
  }
  // Room for the message first: then nothing throws any more once the seat is taken.
  state_->unsent.emplace_back(message);
  const bool alone = state_->unsent.size() == 1;
  try {
    state_->workers[id.seat].incarnation = id.incarnation;
  } catch (...) {
    state_->unsent.pop_back();
    throw;
  }
  state_->begin_silence();
  // A server that is lost answers nothing: that nothing has come of this is for the lifeline to
  // say.
  if (state_->server_lost) state_->events.add(state_->lifeline.get());
  // Answers come for what is in the socket, and with each of them more is sent.
  if (alone && state_->send(message)) state_->unsent.pop_back();
}

bool fork_server_client::signal_worker(seat_id id, int signal) noexcept {
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->workers.find(id.seat);
  if (at == state_->workers.end() || at->second.incarnation != id.incarnation ||
      at->second.pid == 0) {
    return false;
  }
  if (at->second.pidfd.is_ours()) {
    const int error = os::pidfd_signal(at->second.pidfd.get(), signal);
    if (error == 0 || error == ESRCH) return error == 0;
  }
  // Not known or not allowed here: the server, which knows which of its children is alive, may have
  // the right that this process has given up.
  command message;
  message.what = command::op::signal;
  message.id = id;
  message.signal = signal;
  return state_->send_or_keep(message);
}

// --- events
// ----------------------------------------------------------------------------------------

std::optional<server_event> fork_server_client::next_event() {
  state& s = *state_;
  if (s.finished) return std::nullopt;
  while (!s.server_lost) {
    // Closed by the program: the server has seen the end of its socket, and kills its workers.
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
    // Told once when the server has left commands unread; what it had sent comes after it.
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

// Empty for a message about a worker that nobody asked for.
std::optional<server_event> fork_server_client::state::translate(const report& message,
                                                                 os::unique_fd pidfd) {
  if (message.what == report::kind::spare) spare = message.pid;
  const std::lock_guard lock(mutex);
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
  const std::lock_guard lock(state_->mutex);
  const auto at = state_->workers.find(id.seat);
  if (at == state_->workers.end() || at->second.incarnation != id.incarnation) return {};
  return at->second.pidfd ? os::duplicate_fd(at->second.pidfd.get()) : os::unique_fd();
}

bool fork_server_client::lost() const noexcept { return state_->server_lost; }

std::chrono::milliseconds fork_server_client::patience() const noexcept {
  return state_->silent_since && !state_->server_lost ? longest_silence + 1ms : -1ms;
}

bool fork_server_client::state::owes_an_answer() {
  const std::lock_guard guard(mutex);
  return std::any_of(workers.begin(), workers.end(), [](const auto& w) {
    return w.second.pid == 0 || (w.second.pidfd && os::pidfd_dead(w.second.pidfd.get()));
  });
}

void fork_server_client::state::begin_silence() noexcept {
  if (silent_since) return;
  silent_since = in_debt_since = std::chrono::steady_clock::now();
}

// A start is answered in a moment, and when a pidfd says that its worker is dead, the server says
// so, too. If that takes long, the server was stopped, by a task perhaps, and goes on when it is
// told to. If it does not, or may not be told, it is as good as dead.
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

// --- the end
// ---------------------------------------------------------------------------------------

// From here on the proof of a worker's death is its pidfd, or the end of the lifeline. Both become
// readable in the event set.
void fork_server_client::state::lose_server() {
  server_lost = true;
  const std::lock_guard lock(mutex);
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
      // They die with the server, unless a task has seen to it that they do not.
      os::pidfd_signal(worker.pidfd.get(), killed_signal);
      events.remove(worker.pidfd.get());
    }
    if (!worker.pidfd || events.add(worker.pidfd.get()) != 0) lifeline_needed = true;
  }
  if (lifeline_needed) events.add(lifeline.get());
}

// The program has closed them all. None is touched any more, since its number may be that of a file
// of the program's own.
void fork_server_client::state::forget_descriptors() noexcept {
  control.reset();
  for (auto& [seat, worker] : workers) static_cast<void>(worker.pidfd.release().release());
  static_cast<void>(server_pidfd.release().release());
  events.forget();
  unsent.clear();
}

// No process is left that has the other end.
bool fork_server_client::state::all_dead(std::chrono::milliseconds max) const noexcept {
  return os::poll_one(lifeline.get(), os::poll_for::nothing, max).hung_up && lifeline.is_ours();
}

// Workers of a dead server belong to process 1, which reaps them. If this process is the one that
// gets them, their pids cannot have come to mean others before they are reaped here. They are dead,
// or so near to it that waiting is no matter. One that a server forked in its very last moment,
// without telling, is known by its name.
void fork_server_client::state::reap_adopted() noexcept {
  for (const pid_t pid : adopted) os::reap(pid);
  if (spare != 0) os::reap(spare);
  adopted.clear();
  spare = 0;
}

std::optional<server_event> fork_server_client::state::next_death() {
  const std::lock_guard lock(mutex);
  const bool blind = !has_descriptors();
  const bool all_are_dead = !blind && all_dead(no_wait);
  for (auto at = workers.begin(); at != workers.end(); ++at) {
    known_worker& worker = at->second;
    // The pidfd where there is one: descriptors are closed a moment before a process is dead.
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

// Which processes there are, in case that they end with the server.
void fork_server_client::state::hear_the_last() {
  constexpr std::uint32_t most = 4 * max_seats;
  for (std::uint32_t i = 0; control.is_ours() && i < most; ++i) {
    report message;
    auto received = receive_struct(control.get(), message, os::blocking::no);
    if (received.size <= 0 && received.size != -ECONNRESET) return;
    if (received.size > 0) translate(message, {});
  }
}

void fork_server_client::stop(std::chrono::milliseconds grace) noexcept {
  state& s = *state_;
  s.hear_the_last();
  s.finished = true;
  {
    const std::lock_guard lock(s.mutex);
    if (!s.has_descriptors()) s.forget_descriptors();
    if (s.control.is_ours()) {
      s.events.remove(s.control.get());
      command farewell;
      farewell.what = command::op::farewell;
      s.send(farewell);
    }
    s.control.reset();  // the order to leave
    s.unsent.clear();
  }
  s.wait_for_end(grace);
  const std::lock_guard lock(s.mutex);
  s.workers.clear();
}

void fork_server_client::state::wait_for_end(std::chrono::milliseconds grace) {
  if (!lifeline.is_ours()) return;
  if (!server_pidfd) {
    all_dead(grace);
  } else {
    if (!os::pidfd_dead(server_pidfd.get(), grace)) {
      os::pidfd_signal(server_pidfd.get(), killed_signal);
      // Its workers get SIGKILL from the kernel with it.
      os::pidfd_dead(server_pidfd.get(), default_grace);
      all_dead(default_grace);
    }
    os::pidfd_reap(server_pidfd.get());
  }
  if (os::adopts_orphans() && all_dead(default_grace)) {
    for (const auto& [seat, worker] : workers) {
      if (worker.pid != 0) adopted.push_back(worker.pid);
    }
    reap_adopted();
    os::reap_zombies_named(server_name);
    // One of which nobody knows has closed its descriptors, and may be dead a moment later.
    for (const std::chrono::milliseconds moment : {1ms, 20ms}) {
      if (!server_lost) break;
      os::poll_items({}, moment);
      os::reap_zombies_named(server_name);
    }
  }
  lifeline.reset();
}

}  // namespace procpool::launch
