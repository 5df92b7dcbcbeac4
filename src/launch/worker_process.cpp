#include "launch/worker_process.hpp"

#include <utility>

#include "launch/protocol.hpp"
#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/pipe.hpp"
#include "os/private_fds.hpp"
#include "runtime/process_role.hpp"

namespace procpool::launch {
namespace {

// Runs first in the new process, before anything that concerns a pool.
void set_up(const worker_template& common) noexcept {
  if (!os::die_with_parent(common.server_pid)) os::leave_process(0);
  for (int fd : common.server_fds) os::close_fd(fd);
  if (common.stderr_fd >= 0) {
    os::remove_private_fd(common.stderr_fd);
    os::use_as_stderr(common.stderr_fd);
  }
  if (common.stdin_fd >= 0) {
    os::remove_private_fd(common.stdin_fd);
    os::use_as_stdin(common.stdin_fd);
  }
  runtime::set_role(runtime::process_role::worker);
  os::stop_watching_children();
  os::use_exact_timers();
}

[[noreturn]] void run(const worker_template& common, const worker_order& order) {
  // Only now: a dead spare that was never reported is recognised by the server's name.
  os::set_process_name(os::program_name());
  os::adopt_signal_actions(order.signals);
  worker_context context;
  context.region_fd = common.region_fd;
  context.page_fd = common.page_fd;
  context.id = order.id;
  context.argument = order.argument;
  context.server_pid = common.server_pid;
  current_worker_entry()(context);
  os::leave_process(0);
}

os::forked fork_own() noexcept {
  const runtime::own_fork guard;
  return os::fork_child();
}

}  // namespace

os::forked worker_forker::start(const worker_order& order) noexcept {
  spare_failed_ = false;
  if (wake_spare(order)) return {std::exchange(spare_pid_, 0), 0};
  const os::forked result = fork_own();
  if (result.pid == 0) {
    spare_order_.reset();
    set_up(common_);
    run(common_, order);
  }
  return result;
}

bool worker_forker::wake_spare(const worker_order& order) noexcept {
  if (spare_pid_ == 0) return false;
  // A stopped spare (its whole process group may have been stopped) would get the order and not
  // run. Before the order: a task may stop itself at once, and stays stopped.
  os::signal_child(spare_pid_, continue_signal);
  const bool written = os::write_pipe(spare_order_.get(), &order, sizeof(order));
  spare_order_.reset();
  // The pid of a dead spare is valid until it is reaped, and forgotten then.
  return written;
}

pid_t worker_forker::prepare_spare() noexcept {
  if (spare_pid_ != 0 || spare_failed_) return 0;
  os::pipe_ends ends = os::try_make_pipe();
  const os::forked result = ends.reader ? fork_own() : os::forked{-1, 0};
  if (result.pid == 0) {
    ends.writer.reset();
    set_up(common_);
    worker_order order;
    if (!os::read_pipe(ends.reader.get(), &order, sizeof(order))) os::leave_process(0);
    ends.reader.reset();
    run(common_, order);
  }
  if (result.pid < 0) {
    spare_failed_ = true;
    return 0;
  }
  spare_pid_ = result.pid;
  spare_order_ = std::move(ends.writer);
  return spare_pid_;
}

bool worker_forker::forget_spare(pid_t pid) noexcept {
  if (pid != spare_pid_) return false;
  spare_pid_ = 0;
  spare_order_.reset();
  spare_failed_ = true;
  return true;
}

void worker_forker::kill_spare(std::chrono::steady_clock::time_point end) noexcept {
  if (spare_pid_ == 0) return;
  spare_order_.reset();  // the spare also leaves by itself
  os::kill_child(spare_pid_);
  os::reap_until(spare_pid_, end);
  spare_pid_ = 0;
}

}  // namespace procpool::launch
