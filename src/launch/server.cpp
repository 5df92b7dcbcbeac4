#include "launch/server.hpp"

#include <cerrno>
#include <chrono>
#include <new>
#include <span>
#include <utility>

#include "launch/protocol.hpp"
#include "launch/seat_table.hpp"
#include "launch/worker_process.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/private_fds.hpp"
#include "os/program_signals.hpp"
#include "os/sanitizers.hpp"
#include "os/thread_count.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

// The descriptors received with the hello, and the server's own.
struct server_fds {
  os::unique_fd control;
  os::unique_fd region;
  os::unique_fd page;
  os::unique_fd lifeline;  // server and workers hold it open; the parent sees when all are gone
  os::unique_fd parent;    // pidfd; empty on systems without pidfds
  os::unique_fd errors;    // standard error of the workers; empty: that of this process
  os::unique_fd children;
  bool spare = true;
};

[[noreturn]] void refuse(int control, std::int32_t error, int threads = 0) noexcept {
  ready answer;
  answer.pid = os::this_process();
  answer.error = error;
  answer.threads = threads;
  send_struct(control, answer, {}, os::blocking::no);
  os::leave_process(1);
}

hello receive_hello(server_fds& fds) noexcept {
  hello message;
  auto received = receive_struct(fds.control.get(), message, os::blocking::yes);
  if (received.size == 0) os::leave_process(0);  // the parent has given up
  if (received.size < 0) refuse(fds.control.get(), static_cast<std::int32_t>(-received.size));
  if (message.version != protocol_version) refuse(fds.control.get(), bad_hello);
  if (received.fds_lost) refuse(fds.control.get(), EMFILE);
  fds.spare = message.has_spare != 0;
  std::size_t next = 0;
  if (message.kind == server_kind::pool) {
    fds.region = std::move(received.fds[next++]);
    fds.page = std::move(received.fds[next++]);
    fds.lifeline = std::move(received.fds[next++]);
  }
  if (message.has_parent_pidfd != 0) fds.parent = std::move(received.fds[next++]);
  if (message.has_stderr != 0) fds.errors = std::move(received.fds[next++]);
  if (received.fd_count != next) refuse(fds.control.get(), bad_hello);
  return message;
}

void announce(const server_fds& fds) noexcept {
  ready answer;
  answer.pid = os::this_process();
  const os::unique_fd self = os::open_pidfd(answer.pid);
  const int with[] = {self.get()};
  const auto attached = self ? std::span<const int>(with) : std::span<const int>();
  if (send_struct(fds.control.get(), answer, attached, os::blocking::yes) != 0)
    os::leave_process(0);
}

// How long the server waits for the processes that it has killed before it leaves regardless: a
// process that runs as another user cannot be killed, and a frozen process does not die.
constexpr std::chrono::seconds last_wait{10};

// Kills all descendants: workers, the spare, and processes that tasks have left behind. Repeats,
// since the children of a process that dies become children of this one.
void kill_descendants(std::chrono::steady_clock::time_point end) noexcept {
  while (os::kill_all_children() && os::reap_until(0, end)) {
  }
}

class pool_server {
 public:
  explicit pool_server(server_fds fds) noexcept
      : fds_(std::move(fds)),
        own_fds_{fds_.control.get(), fds_.parent.get()},
        forker_(worker_template{fds_.region.get(), fds_.page.get(), fds_.errors.get(),
                                os::this_process(), own_fds_}) {}

  [[noreturn]] void run() noexcept {
    announce(fds_);
    for (;;) {
      reap();
      const bool all_told = seats_.send_reports(fds_.control.get());
      if (const pid_t spare = fds_.spare ? forker_.prepare_spare() : 0) {
        tell_spare(spare);  // the parent does not wait for it
      }
      os::poll_item items[] = {{fds_.control.get()}, {fds_.parent.get()}};
      if (!all_told) items[0].wanted = os::poll_for::both;
      os::poll_or_child_end(items);
      if (items[1].readable) finish(true);
      if (items[0].readable) obey();
    }
  }

 private:
  void reap() noexcept {
    while (const auto end = os::reap_any()) {
      if (seat_row* row = seats_.find(end->pid)) {
        seats_.died(*row, *end);
      } else {
        forker_.forget_spare(end->pid);  // or an orphan left by a task: only reaped
      }
    }
  }

  // The report may get lost: only a parent that must reap the spare of a dead server needs it.
  void tell_spare(pid_t pid) noexcept {
    report message;
    message.what = report::kind::spare;
    message.pid = pid;
    send_struct(fds_.control.get(), message, {}, os::blocking::no);
  }

  // Handles a bounded number of commands, so that the server checks for deaths in between.
  void obey() noexcept {
    for (int i = 0; i < 64; ++i) {
      command message;
      const auto received = receive_struct(fds_.control.get(), message, os::blocking::no);
      if (received.size == -EAGAIN) return;
      if (received.size <= 0) finish(!farewell_);
      farewell_ = message.what == command::op::farewell;
      if (message.what == command::op::start) {
        start(message);
      } else if (message.what == command::op::signal) {
        if (const seat_row* row = seats_.find(message.id))
          os::signal_child(row->pid, message.signal);
      }
    }
  }

  void start(const command& message) noexcept {
    seat_row* row = seats_.free_row(message.id);
    if (row == nullptr) return;
    const os::forked worker = forker_.start({message.id, message.argument, message.signals});
    if (worker.error != 0) {
      seats_.failed(*row, message.id, worker.error);
    } else {
      seats_.started(*row, message.id, worker.pid);
    }
  }

  // Called when the parent is dead, or done with this pool.
  [[noreturn]] void finish(bool parent_died) noexcept {
    const auto end = std::chrono::steady_clock::now() + last_wait;
    forker_.kill_spare(end);
    seats_.for_each_running([](seat_row& row) { os::kill_child(row.pid); });
    seats_.for_each_running([end](seat_row& row) { os::reap_until(row.pid, end); });
    // No process of a program outlives its death. If a program ends the pool in order, its tasks
    // may have left a process on purpose; process 1 adopts it.
    if (parent_died) kill_descendants(end);
    os::leave_process(0);
  }

  server_fds fds_;
  int own_fds_[2];
  worker_forker forker_;
  seat_table seats_;
  bool farewell_ = false;  // the last command was a farewell
};

[[noreturn]] void serve_pool(server_fds fds, const hello& message) noexcept {
  os::follow_program(message.parent, message.has_interrupts != 0);
  os::adopt_orphans();
  os::watch_children();
  os::set_process_name(server_name);
  // A process that a task forks must neither write to the region nor conceal the worker's end.
  for (int fd : {fds.region.get(), fds.page.get(), fds.lifeline.get(), fds.errors.get()})
    os::add_private_fd(fd);
  // In static memory, without allocation: the table has 4,096 rows.
  alignas(pool_server) static std::byte storage[sizeof(pool_server)];
  (new (storage) pool_server(std::move(fds)))->run();
}

// start_method::forkserver: forks one server for each pool and does nothing else.
[[noreturn]] void serve_master(server_fds fds) noexcept {
  os::watch_children();
  os::set_process_name("procpool master");
  announce(fds);
  for (;;) {
    os::poll_item items[] = {{fds.control.get()}, {fds.parent.get()}};
    os::poll_or_child_end(items);
    if (items[1].readable) os::leave_process(0);  // the pools' servers notice it themselves
    while (os::reap_any()) {
    }
    if (!items[0].readable) continue;
    command message;
    auto received = receive_struct(fds.control.get(), message, os::blocking::no);
    if (received.size == -EAGAIN) continue;
    if (received.size <= 0) os::leave_process(0);
    report answer;
    answer.what = report::kind::serving;
    answer.error = EMFILE;
    if (message.what == command::op::serve_pool && received.fd_count == 1) {
      os::forked server;
      {
        const runtime::own_fork guard;
        server = os::fork_child();
      }
      if (server.pid == 0) {
        fds.control.reset();
        fds.parent.reset();
        run_forked_server(received.fds[0].release());
      }
      answer.pid = server.pid;
      answer.error = server.error;
    }
    send_struct(fds.control.get(), answer, {}, os::blocking::yes);
  }
}

// A program whose constructors start threads cannot be forked safely. But some libraries end their
// threads in a fork handler, and sanitizers have a thread for a moment: so this function counts the
// threads, forks once as a trial, and waits.
int threads_that_stay() noexcept {
  // Its thread stays, and it handles forks itself.
  if (os::thread_sanitizer || os::thread_count() <= 1) return 1;
  const os::forked trial = os::fork_child();
  if (trial.pid == 0) os::leave_process(0);
  if (trial.error == 0) os::reap(trial.pid);
  for (int i = 0; i < 100 && os::thread_count() > 1; ++i) {
    os::poll_items({}, std::chrono::milliseconds(10));
  }
  return os::thread_count();
}

}  // namespace

void run_executed_server(int control_socket) noexcept {
  server_fds fds;
  fds.control.reset(control_socket);
  os::block_all_signals();
  // Fault handlers that constructors of this program have set belong to a crash reporter or a
  // sanitizer, and stay.
  os::reset_signal_actions(os::fault_handlers::keep);
  runtime::install_fork_handlers();
  const hello message = receive_hello(fds);
  if (const int threads = threads_that_stay(); threads > 1) {
    refuse(fds.control.get(), too_many_threads, threads);
  }
  if (message.kind == server_kind::master) serve_master(std::move(fds));
  serve_pool(std::move(fds), message);
}

void refuse_executed_server(int control_socket) noexcept {
  server_fds fds;
  fds.control.reset(control_socket);
  receive_hello(fds);  // unread data would make the socket drop the answer
  refuse(fds.control.get(), missing_copy);
}

void run_forked_server(int control_socket) noexcept {
  server_fds fds;
  fds.control.reset(control_socket);
  runtime::set_role(runtime::process_role::fork_server);
  os::block_all_signals();
  os::use_default_signal_stack();
  os::reset_signal_actions(os::address_sanitizer ? os::fault_handlers::keep
                                                 : os::fault_handlers::reset);
  if (!os::set_standard_streams()) refuse(fds.control.get(), errno);
  const hello message = receive_hello(fds);
  serve_pool(std::move(fds), message);
}

}  // namespace procpool::launch
