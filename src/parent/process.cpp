// procpool::process: what its members do with the process that the host has started.
#include "procpool/process.hpp"

#include <cerrno>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>

#include "launch/role.hpp"
#include "parent/child_process.hpp"
#include "parent/process_host.hpp"
#include "procpool/errors.hpp"

namespace procpool {
namespace {

constexpr duration grace = std::chrono::seconds(5);

bool in_parent() noexcept { return launch::current_role() == launch::process_role::parent; }

void require_parent() {
  if (in_parent()) return;
  throw nested_use_error(
      "procpool: only the program itself can have process objects, not a task, not another such "
      "process, and not one that a task has forked");
}

}  // namespace

namespace detail {

void process_payload::note(wire_writer& self, const shared_object& object) {
  static_cast<process_payload&>(self).objects_.push_back(object);
}

process_body::~process_body() = default;

}  // namespace detail

void process::start(const process_options& options, detail::process_thunk thunk,
                    detail::process_payload& task) {
  require_parent();
  auto child = std::make_shared<parent::child_process>(options.name);
  parent::process_host::instance().start(child, thunk, task);
  child_ = std::move(child);
}

void process::start(const process_options& options, std::unique_ptr<detail::process_body> body) {
  require_parent();
  if (options.start != start_method::automatic && options.start != start_method::fork) {
    throw std::invalid_argument(
        "procpool: a function with captures can only run in a copy of this process: "
        "start_method::fork or automatic, or pass what it captures as arguments");
  }
  auto child = std::make_shared<parent::child_process>(options.name);
  child->keep(std::move(body));
  try {
    parent::process_host::instance().start_copy(child);
  } catch (...) {
    child->keep(nullptr);  // here, and not by the thread that drops it last
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
    // A copy of the one that the parent has. Its descriptors are closed already, and its locks may
    // be held by threads that do not exist here: it is left as it is.
    new (std::nothrow) std::shared_ptr(std::move(child_));
    return;
  }
  parent::process_host& host = parent::process_host::instance();
  host.signal(*child_, SIGTERM);
  if (!child_->await_end(grace)) {
    host.signal(*child_, SIGKILL);
    child_->await_end(std::nullopt);
  }
  child_.reset();
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
  parent::process_host::instance().signal(child, number);
}

int process::pidfd() const {
  const int fd = use().sentinel();
  if (fd < 0) {
    throw std::system_error(EMFILE, std::generic_category(),
                            "procpool: there was no descriptor for this process");
  }
  return fd;
}

}  // namespace procpool
