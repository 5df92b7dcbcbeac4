#include "procpool/errors.hpp"

#include <cstdio>
#include <cstring>

namespace procpool {
namespace {

std::string task_name(const death_record& r) {
  return r.label.empty() ? std::string("its task") : "task '" + r.label + "'";
}

std::string crash_text(const death_record& r) {
  std::string text = "worker " + std::to_string(r.pid);
  if (r.signal != 0) {
    // strsignal is not thread-safe in every libc; glibc's sigabbrev_np is.
    const char* name = sigabbrev_np(r.signal);
    text += " was ended by signal " + std::to_string(r.signal);
    if (name != nullptr) text += " (SIG" + std::string(name) + ")";
    if (r.core_dumped) text += ", core dumped,";
    if (r.with_pool)
      text += " with the whole pool (kill_workers, terminate_workers, shutdown's timeout)";
    text += " while it ran " + task_name(r);
    if (r.signal == 9 && !r.with_pool) {
      text +=
          "; if no process sent it, the machine ran out of memory: use fewer workers or smaller "
          "tasks";
    }
  } else if (!r.cause.empty()) {
    text += " left while it ran " + task_name(r) + ": " + r.cause +
            ". This task has closed it, or an earlier task of this worker";
  } else {
    text += " left with exit code " + std::to_string(r.exit_code) + " while it ran " + task_name(r);
    text += "; a task must return or throw, not exit";
  }
  if (r.attempt > 1) text += " (attempt " + std::to_string(r.attempt) + ")";
  return text;
}

// Seconds, as %g prints them: "0.05", "2", "1e-06".
std::string seconds(duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%g s", d.count());
  return text;
}

std::string timeout_text(const death_record& r) {
  const bool named = !r.label.empty();
  std::string text = (named ? "task '" + r.label + "'" : std::string("the task")) +
                     " ran longer than its time limit of " + seconds(r.time_limit) +
                     ", and its worker " + std::to_string(r.pid) + " was killed";
  if (r.attempt > 1) text += " (attempt " + std::to_string(r.attempt) + ")";
  return text;
}

}  // namespace

// The key functions: one vtable and one typeinfo each, in the library.
error::~error() = default;
cancelled_error::cancelled_error() : error("the task was cancelled before it finished") {}
cancelled_error::~cancelled_error() = default;
timeout_error::~timeout_error() = default;
task_killed::task_killed(const std::string& what, death_record record)
    : error(what), record_(std::move(record)) {}
task_killed::~task_killed() = default;
worker_crashed::worker_crashed(const death_record& record)
    // No move: the order in which arguments are evaluated is open.
    : task_killed(crash_text(record), record) {}
worker_crashed::~worker_crashed() = default;
task_timeout::task_timeout(const death_record& record)
    : task_killed(timeout_text(record), record) {}
task_timeout::~task_timeout() = default;
broken_executor::~broken_executor() = default;
broken_process_pool::~broken_process_pool() = default;
broken_thread_pool::~broken_thread_pool() = default;
shutdown_error::~shutdown_error() = default;
nested_use_error::~nested_use_error() = default;
invalid_state_error::~invalid_state_error() = default;
broken_barrier_error::~broken_barrier_error() = default;
queue_closed_error::~queue_closed_error() = default;
unsafe_fork_error::~unsafe_fork_error() = default;
manager_lost_error::~manager_lost_error() = default;
authentication_error::~authentication_error() = default;
codec_error::~codec_error() = default;
remote_error::remote_error(std::string type_name, const std::string& message, std::string where)
    : error(message), type_name_(std::move(type_name)), where_(std::move(where)) {}
remote_error::~remote_error() = default;

}  // namespace procpool
