// procpool::process: its members, which act on the process that the host has started.
#include "procpool/process.hpp"

#include <cerrno>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

#include "child/child_process.hpp"
#include "child/process_host.hpp"
#include "os/limits.hpp"
#include "os/terminal.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool {
namespace {

constexpr duration grace = std::chrono::seconds(5);
// How long signal() waits for the report of a death that came before the signal.
constexpr duration moment = std::chrono::milliseconds(100);

bool in_parent() noexcept { return runtime::current_role() == runtime::process_role::parent; }

void require_parent() {
  if (in_parent()) return;
  throw nested_use_error(
      "procpool: only the program itself can have process objects, not a task, not another such "
      "process, and not one that a task has forked");
}

// Adds advice to an error about a lack of descriptors.
void start_with_advice(const std::function<void()>& start) {
  try {
    start();
  } catch (const std::system_error& e) {
    const int why = e.code().value();
    if (e.code().category() != std::generic_category() || !os::lacks_descriptors(why)) throw;
    throw std::system_error(e.code(),
                            "procpool: cannot start a process: " + os::descriptor_advice(why));
  }
}

std::string described(const parent::child_process& child) {
  const std::string& name = child.name();
  return "process " + (name.empty() ? std::string() : "'" + name + "' ") + "(pid " +
         std::to_string(child.pid()) + ")";
}

}  // namespace

namespace detail {

process_body::~process_body() = default;

}  // namespace detail

void process::start(const process_options& options, detail::run_thunk thunk,
                    detail::noting_writer& task) {
  require_parent();
  auto child = std::make_shared<parent::child_process>(options.name);
  start_with_advice([&] { parent::process_host::instance().start(child, thunk, task); });
  child_ = std::move(child);
}

void process::start(const process_options& options, std::unique_ptr<detail::process_body> body) {
  require_parent();
  if (options.start && options.start != start_method::fork) {
    throw std::invalid_argument(
        "procpool: a function with captures can only run in a copy of this process: "
        "leave process_options::start empty, or pass what it captures as arguments");
  }
  auto child = std::make_shared<parent::child_process>(options.name);
  child->keep(std::move(body));
  try {
    start_with_advice([&] { parent::process_host::instance().start_copy(child); });
  } catch (...) {
    child->keep(nullptr);  // destroyed here, not by the thread that drops `child` last
    throw;
  }
  child_ = std::move(child);
}

process& process::operator=(process&& other) noexcept {
  if (this != &other) {
    end();
    child_ = std::move(other.child_);
  }
  return *this;
}

process::~process() { end(); }

void process::end() noexcept {
  if (child_ == nullptr) return;
  if (!child_->is_here()) {
    // A forked copy of the parent's object. Its descriptors are closed already, and threads that do
    // not exist here may hold its locks: the copy is leaked.
    new (std::nothrow) std::shared_ptr(std::move(child_));
    return;
  }
  parent::process_host::instance().signal(*child_, SIGTERM);
  if (!child_->await_end(grace)) end_at_once();
  child_.reset();
}

void process::end_at_once() noexcept {
  if (child_ == nullptr) return;
  parent::process_host::instance().signal(*child_, SIGKILL);
  if (child_->await_end(grace)) return;
  try {
    os::write_stderr(
        "procpool: " + described(*child_) +
        " has not ended within 5 s of SIGKILL, and is abandoned: it is frozen, "
        "blocked in the kernel, or out of reach of this program and its fork server\n");
  } catch (const std::bad_alloc&) {
    // Without memory the line is not written; nothing depends on it.
  }
}

parent::child_process& process::use() const {
  if (child_ == nullptr) {
    throw invalid_state_error(
        "procpool: this process object is empty: it was moved from, or never had a process");
  }
  if (!child_->is_here()) {
    throw nested_use_error(
        "procpool: this process object belongs to the process that has made it, not to a task, nor "
        "to a process that was forked since: use it there");
  }
  return *child_;
}

pid_t process::pid() const { return use().pid(); }
const std::string& process::name() const { return use().name(); }
bool process::is_alive() const { return !use().has_ended(); }
std::optional<int> process::exit_code() const { return use().exit_code(); }
void process::join() const { use().await_end(std::nullopt); }
bool process::join_for(duration limit) const { return use().await_end(limit); }

void process::signal(int number) const {
  parent::child_process& child = use();
  if (parent::process_host::instance().signal(child, number)) return;
  // The process has ended, and its end may not be reported yet.
  if (child.is_dead() || child.await_end(moment)) return;
  throw std::system_error(EPERM, std::generic_category(),
                          "procpool: " + described(child) + " cannot be sent signal " +
                              std::to_string(number) +
                              ": this program may not (has it dropped its rights?), and its fork "
                              "server cannot be asked");
}

int process::pidfd() const {
  const int fd = use().sentinel();
  if (fd < 0) {
    throw std::system_error(
        EMFILE, std::generic_category(),
        "procpool: there was no file descriptor for this process when it started: close some, or "
        "raise RLIMIT_NOFILE (ulimit -n), and start it again; join() works without");
  }
  return fd;
}

}  // namespace procpool
