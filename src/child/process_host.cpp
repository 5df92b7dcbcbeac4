#include "child/process_host.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "objects/parent_registry.hpp"
#include "os/limits.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/program_signals.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "procpool/errors.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/process_role.hpp"
#include "shm/process_page.hpp"

namespace procpool::parent {
namespace {

using shm::u64;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds retry_pause{10}, closed_pause{100}, no_limit{-1};
// While there is a process whose death has to be noticed.
constexpr std::chrono::milliseconds longest_look_pause{1000};

os::private_fd make_file() {
  runtime::install_fork_handlers();
  os::private_fd file(os::create_memfd("procpool-processes"));
  os::forbid_shrink(file.get());
  return file;
}

std::unique_ptr<launch::fork_server_client> start_server(bool copies, int file) {
  const auto method = copies ? start_method::fork : start_method::spawn;
  try {
    return launch::fork_server_client::start({.start = method,
                                              .region_fd = file,
                                              .page_fd = shm::parent_page_fd(),
                                              .spare = !copies,
                                              .interrupts = true});
  } catch (const unsafe_fork_error&) {
    throw unsafe_fork_error(
        "procpool: a process whose function has captures (or start_method::fork) is a copy of this "
        "one, which is possible only while no other threads run: start it before threads are, or "
        "pass what it captures as arguments to a function without captures");
  } catch (const broken_process_pool& cause) {
    std::throw_with_nested(
        error(std::string("procpool: no process can be started: ") + cause.what()));
  }
}

bool is_empty(const process_group& group) {
  return std::none_of(group.seats.begin(), group.seats.end(),
                      [](const auto& child) { return child != nullptr; });
}

}  // namespace

namespace {
constinit base::per_process<process_host> hosts;
}

process_host& process_host::instance() { return hosts.get(); }

process_host::process_host()
    : file_(make_file()), blocks_(file_.get(), shm::child_arena_begin, os::file_size_limit()) {
  os::add_private_fd(events_.fd());
  if (const int failed = events_.add(wake_.fd()); failed != 0) {
    throw std::system_error(failed, std::generic_category(), "procpool: cannot watch processes");
  }
  parent_registry::instance().add_waker(wake_);
}

// --- starting
// ------------------------------------------------------------------------------------

void process_host::start(const std::shared_ptr<child_process>& child, detail::run_thunk thunk,
                         detail::noting_writer& task) {
  require_file();
  shm::child_image head{};
  head.code = detail::to_code_ref(reinterpret_cast<const void*>(thunk)).bits;
  head.length = task.size();
  for (bool launched = false; !launched;) {
    const std::shared_ptr<process_group> group = common_group();
    const base::lock_guard lock(mutex_);
    if (group->gone) continue;  // it died meanwhile
    child->objects_ = std::move(task.objects());
    write_image(*child, head, task.data());
    launch(*group, child);
    launched = true;
  }
  child->await_start();
}

void process_host::start_copy(const std::shared_ptr<child_process>& child) {
  require_file();
  const base::lock_guard one(start_mutex_);
  ensure_thread();
  {
    const base::lock_guard lock(mutex_);
    shm::child_image head{};
    head.closure = reinterpret_cast<u64>(child->body());
    write_image(*child, head, nullptr);
  }
  std::shared_ptr<process_group> group;
  try {
    group = add_group(true);
  } catch (...) {
    const base::lock_guard lock(mutex_);
    release(*child);
    throw;
  }
  {
    const base::lock_guard lock(mutex_);
    group->used = true;
    if (group->gone) {
      release(*child);
      child->failed(EOWNERDEAD);
    } else {
      launch(*group, child);
    }
  }
  child->await_start();
}

// The existing group that serves task functions, or a new one.
std::shared_ptr<process_group> process_host::common_group() {
  const base::lock_guard one(start_mutex_);
  ensure_thread();
  {
    const base::lock_guard lock(mutex_);
    for (const auto& group : groups_) {
      if (!group->copies && !group->gone && group->client->server_lives()) return group;
    }
  }
  return add_group(false);
}

// Not under mutex_: when this process is forked, the host thread must not be waiting
// for the forking thread.
std::shared_ptr<process_group> process_host::add_group(bool copies) {
  auto group = std::make_shared<process_group>();
  group->copies = copies;
  group->client = start_server(copies, file_.get());
  const base::lock_guard lock(mutex_);
  groups_.push_back(group);
  if (const int failed = events_.add(group->client->event_fd()); failed != 0) {
    groups_.pop_back();
    throw std::system_error(failed, std::generic_category(), "procpool: cannot watch processes");
  }
  return group;
}

void process_host::write_image(child_process& child, const shm::child_image& head,
                               const std::byte* task) {
  shm::child_image image = head;
  const std::size_t letters = std::min(child.name().size(), sizeof(image.name) - 1);
  std::memcpy(image.name, child.name().data(), letters);
  child.block_ = blocks_.allocate(sizeof(image) + head.length);
  try {
    child.row_ = image.row = parent_registry::instance().acquire_row();
    const u64 in_page = child.block_.offset % os::page_size();
    os::mapping pages = os::mapping::shared(file_.get(), child.block_.offset - in_page,
                                            in_page + sizeof(image) + head.length);
    std::byte* const to = pages.data() + in_page;
    std::memcpy(to, &image, sizeof(image));
    if (head.length != 0) std::memcpy(to + sizeof(image), task, head.length);
    pages.exclude_from_fork();
    pages.exclude_from_core();
    child.image_ = reinterpret_cast<shm::child_image*>(to);
    child.image_pages_ = std::move(pages);
  } catch (...) {
    release(child);
    throw;
  }
}

void process_host::launch(process_group& group, const std::shared_ptr<child_process>& child) {
  try {
    std::size_t seat = 0;
    while (seat < group.seats.size() && group.seats[seat]) ++seat;
    if (seat == launch::max_seats) {
      throw std::system_error(EAGAIN, std::generic_category(),
                              "procpool: " + std::to_string(launch::max_seats) +
                                  " processes of this program run already");
    }
    if (seat == group.seats.size()) {
      group.incarnations.push_back(0);
      group.seats.emplace_back();
    }
    child->id_ = {static_cast<std::uint32_t>(seat), ++group.incarnations[seat]};
    group.client->start_worker(child->id_, shm::child_argument(child->block_.offset),
                               os::current_signal_actions());
    child->group_ = &group;
    group.seats[seat] = child;
  } catch (...) {
    release(*child);
    throw;
  }
  wake_.signal();  // the thread must wait for the answer
}

void process_host::release(child_process& child) noexcept {
  child.group_ = nullptr;
  child.image_ = nullptr;
  child.image_pages_.reset();
  if (child.row_ != 0) parent_registry::instance().put_back_row(std::exchange(child.row_, 0));
  if (child.block_) {
    blocks_.release(std::exchange(child.block_, {}));
    blocks_.trim_all();  // the next process may come much later or never
  }
  child.objects_.clear();
}

bool process_host::signal(child_process& child, int number) noexcept {
  const base::lock_guard lock(mutex_);
  if (child.group_ == nullptr) return true;
  os::announce_signal(child.image_->signals, number);
  return child.group_->client->signal_worker(child.id_, number);
}

void process_host::require_file() const {
  if (file_.is_ours()) return;
  throw std::system_error(
      EBADF, std::generic_category(),
      "procpool: no process can be started any more: this program has closed file descriptors that "
      "it has not opened, and those of this library among them; close only the program's own");
}

// --- the thread
// ------------------------------------------------------------------------------------

void process_host::ensure_thread() {
  if (has_thread_) return;
  try {
    std::thread([this] { watch(); }).detach();
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), "procpool: cannot start a process: " + os::thread_advice());
  }
  has_thread_ = true;
}

void process_host::watch() {
  const runtime::library_thread registered;
  for (;;) {
    const std::chrono::milliseconds timeout = poll_timeout();
    {
      const runtime::fork_safe_scope forks_may_happen;
      if (wake_.is_ours()) {
        os::poll_one(events_.fd(), os::poll_for::input, timeout);
      } else {
        // The program has closed the library's descriptors: then the thread polls at intervals.
        os::poll_items({}, closed_pause);
      }
    }
    wake_.clear();
    if (!handle_events()) {
      // No memory: the next round handles the remaining events.
      const runtime::fork_safe_scope forks_may_happen;
      os::poll_items({}, retry_pause);
      wake_.signal();
    }
    remove_finished();
  }
}

void process_host::handle_pending_events() noexcept { handle_events(); }

// How long the thread may sleep, in milliseconds.
std::chrono::milliseconds process_host::poll_timeout() {
  const base::lock_guard lock(mutex_);
  std::chrono::milliseconds most = no_limit;
  const auto at_most = [&most](std::chrono::milliseconds t) {
    if (t >= 0ms && (most < 0ms || t < most)) most = t;
  };
  for (const auto& group : groups_) {
    at_most(group->client->poll_timeout());
    if (!is_empty(*group)) at_most(longest_look_pause);
  }
  if (linger_pause_ != 0ms) at_most(linger_pause_);
  return most;
}

// False when there was not enough memory to handle all events.
bool process_host::handle_events() noexcept {
  try {
    {
      const base::lock_guard lock(mutex_);
      for (const auto& group : groups_) {
        while (const auto event = group->client->next_event()) handle(*group, *event);
      }
    }
    // Objects that only a process holds: no message comes when it releases them.
    parent_registry& all = parent_registry::instance();
    all.collect();
    const base::lock_guard lock(mutex_);
    linger_pause_ = all.has_lingering() ? next_collect_pause(linger_pause_) : 0ms;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void process_host::handle(process_group& group, const launch::server_event& event) {
  if (event.what == launch::server_event::kind::server_gone) {
    group.gone = true;
    return;
  }
  if (event.id.seat >= group.seats.size() || !group.seats[event.id.seat]) return;
  child_process& child = *group.seats[event.id.seat];
  if (child.id_ != event.id) return;
  switch (event.what) {
    case launch::server_event::kind::started:
      if (!child.started(event.pid, group.client->duplicate_pidfd(event.id))) {
        group.client->signal_worker(event.id, SIGKILL);
      }
      return;
    case launch::server_event::kind::exited:
      release(child);
      if (child.pid() == 0) {
        child.failed(event.error);
      } else {
        child.ended(event.exit_kind == CLD_EXITED ? event.exit_status : -event.exit_status);
      }
      break;
    default:
      release(child);
      child.failed(event.error);
      break;
  }
  group.seats[event.id.seat].reset();
}

// Removes groups whose server is gone, and groups of one process that has ended. Waits until the
// servers have ended.
void process_host::remove_finished() noexcept {
  const auto finished = [](const std::shared_ptr<process_group>& group) {
    return is_empty(*group) && (group->gone || (group->copies && group->used));
  };
  for (;;) {
    std::shared_ptr<process_group> group;
    {
      const base::lock_guard lock(mutex_);
      const auto at = std::find_if(groups_.begin(), groups_.end(), finished);
      if (at == groups_.end()) return;
      group = std::move(*at);
      groups_.erase(at);
      events_.remove(group->client->event_fd());
    }
    group->client->stop(launch::fork_server_client::default_grace);
  }
}

}  // namespace procpool::parent
