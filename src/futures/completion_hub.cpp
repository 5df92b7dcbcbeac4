#include "futures/completion_hub.hpp"

#include "procpool/detail/task/completion_set.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "futures/callbacks.hpp"
#include "os/cpu_count.hpp"
#include "os/event_fd.hpp"
#include "os/futex.hpp"
#include "procpool/errors.hpp"
#include "runtime/fork_gate.hpp"
#include "runtime/process_role.hpp"
#include "threads/thread_pool.hpp"

namespace procpool::parent {
namespace {

using namespace std::chrono_literals;

// About what it costs to sleep and to be woken.
constexpr std::uint64_t look_us = 50, short_look_us = 10;
// A wake can be lost with a process that dies between DONE and the doorbell; then we look again.
constexpr std::chrono::nanoseconds longest_sleep = 100ms;

}  // namespace

namespace {
constinit base::per_process<completion_hub> hubs;
}

completion_hub& completion_hub::instance() { return hubs.get(); }

completion_hub::completion_hub() : page_(&shm::parent_page()) { runtime::install_fork_handlers(); }

void completion_hub::attach(detail::completion_source& source) { sources_.push_back(&source); }

void completion_hub::detach(detail::completion_source& source) noexcept {
  std::erase(sources_, &source);
}

bool completion_hub::has(const detail::completion_source* source) const noexcept {
  return std::ranges::find(sources_, source) != sources_.end();
}

void completion_hub::drain() noexcept {
  for (detail::completion_source* s : sources_) s->drain();
}

void completion_hub::ring() noexcept {
  if (sleeping_ == 0) return;
  page_->doorbell.fetch_add(1);
  os::futex_wake(page_->doorbell, std::numeric_limits<int>::max());
}

std::uint32_t completion_hub::arm() {
  const std::uint32_t doorbell = page_->doorbell.load();
  // seq_cst: before the drain that follows; the worker stores DONE before it reads this
  page_->doorbell_armed.store(1);
  return doorbell;
}

namespace {

// Some sources, kept alive while the mutex is free. Made with it, gone before it is taken again.
class held_sources {
 public:
  explicit held_sources(const std::vector<detail::completion_source*>& all) {
    for (detail::completion_source* s : all) {
      if (count_ == most) return;
      if (s->hold()) held_[count_++] = s;
    }
  }
  ~held_sources() {
    for (detail::completion_source* s : get()) s->let_go();
  }
  held_sources(const held_sources&) = delete;
  held_sources& operator=(const held_sources&) = delete;

  std::span<detail::completion_source* const> get() const { return {held_, count_}; }

 private:
  static constexpr std::size_t most = 8;  // looking at more would take longer than sleeping
  detail::completion_source* held_[most] = {};
  std::size_t count_ = 0;
};

// Of many sources one may have a result soon.
std::chrono::nanoseconds pause_for_backlog(std::span<detail::completion_source* const> sources) {
  std::chrono::nanoseconds shortest = 1s;
  for (const detail::completion_source* s : sources) {
    shortest = std::min(shortest, s->pause_for_backlog());
  }
  return sources.empty() ? 0ns : shortest;
}

bool crowded(std::span<detail::completion_source* const> sources) {
  return std::ranges::any_of(sources, [](const auto* s) { return s->crowded(); });
}

}  // namespace

bool completion_hub::look(std::unique_lock<std::mutex>& lock, const time_point* deadline,
                          const std::vector<detail::completion_source*>& sources) {
  if (sources.empty()) return false;
  bool found = false;
  {
    const held_sources watched(sources);
    lock.unlock();
    const auto anything = [&] {
      return std::ranges::any_of(watched.get(), [](const auto* s) { return s->anything_done(); });
    };
    std::chrono::nanoseconds pause = pause_for_backlog(watched.get());
    if (deadline != nullptr) pause = std::min(pause, time_until(*deadline));
    if (pause > 0ns && !anything()) {
      os::futex_wait(page_->doorbell, page_->doorbell.load(), pause);
      found = anything();
    } else {
      found = patience::of_this_thread().look(anything, crowded(watched.get()));
    }
  }
  lock.lock();
  return found;
}

void completion_hub::revive(std::unique_lock<std::mutex>& lock) {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    detail::completion_source* s = sources_[i];
    if (!s->hold()) continue;
    lock.unlock();
    s->revive();
    s->let_go();
    lock.lock();
  }
}

completion_hub::rest completion_hub::sleep(std::unique_lock<std::mutex>& lock,
                                           std::uint32_t doorbell, const time_point* deadline) {
  std::chrono::nanoseconds left = longest_sleep;
  if (deadline != nullptr) {
    const duration d = *deadline - std::chrono::steady_clock::now();
    if (d <= duration::zero()) return rest::deadline;
    if (d < longest_sleep) left = std::chrono::duration_cast<std::chrono::nanoseconds>(d) + 1ns;
  }
  ++sleeping_;
  lock.unlock();
  os::futex_result slept{};
  {
    std::optional<runtime::fork_safe_scope> forks_may_happen;
    if (runtime::on_library_thread()) forks_may_happen.emplace();
    slept = os::futex_wait(page_->doorbell, doorbell, left);
  }
  lock.lock();
  --sleeping_;
  return slept == os::futex_result::timed_out && left == longest_sleep ? rest::silence
                                                                       : rest::woken;
}

std::chrono::nanoseconds time_until(time_point t) {
  const duration left = t - std::chrono::steady_clock::now();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::clamp(left, duration::zero(), duration(1h)));
}

namespace {

// A wait needs no memory.
bool several_cpus() noexcept {
  try {
    return os::cpu_count() > 1;
  } catch (const std::exception&) {
    return true;
  }
}

}  // namespace

patience& patience::of_this_thread() {
  thread_local patience p;
  return p;
}

bool patience::begin(bool crowded) {
  // With one CPU the worker cannot run while we look.
  static const bool pays = several_cpus();
  if (!pays) return false;
  if (skip_ != 0) {
    --skip_;
    return false;
  }
  limit_ = base::cycles() + (crowded ? short_look_us : look_us) * base::cycles_per_us();
  return true;
}

void patience::end(bool found) {
  if (found) {
    failed_ = failed_ > 1 ? failed_ - 2 : 0;
    return;
  }
  if (failed_ < 6) ++failed_;
  skip_ = failed_ < 2 ? 0 : (1U << failed_) - 1;
}

}  // namespace procpool::parent

namespace procpool::detail {

using parent::completion_hub;

void throw_other_process() {
  throw nested_use_error("this future belongs to the process that submitted its task: wait there");
}

// Guarded by the hub's mutex.
struct completion_set::members final : completion_listener, parent::thread_pool::awaited {
  ~members() {
    // In a copy of the process the tasks are not there, and the mutex may be held for ever.
    if (!home.is_here()) {
      static_cast<void>(bell.release().release());  // it was closed when the copy was made
      return;
    }
    const std::lock_guard lock(completion_hub::instance().mutex());
    for (subscription& s : nodes) {
      if (s.state != nullptr) s.state->unsubscribe(s);
    }
    if (watched) parent::end_watch();
  }
  // Allocates nothing: add() has made room.
  void completed(subscription& s) noexcept override {
    watch(s, -1);
    s.next = nullptr;
    (last_ready == nullptr ? first_ready : last_ready->next) = &s;
    last_ready = &s;
    ++ready;
    if (ready == 1 && bell) os::signal_event_fd(bell.get());
    end_watch_if_idle();
  }
  std::uint64_t take_ready() {
    subscription& s = *first_ready;
    first_ready = s.next;
    if (first_ready == nullptr) last_ready = nullptr;
    s.next = std::exchange(spare, &s);
    --outstanding;
    if (--ready == 0 && bell) os::clear_event_fd(bell.get());
    return s.tag;
  }

  // With a descriptor nobody may be waiting who would see what is done: the callback thread does.
  std::thread begin_watch_if_due() {
    if (!bell || watched || outstanding == ready) return {};
    std::thread former = parent::begin_watch();
    watched = true;
    return former;
  }
  void end_watch_if_idle() noexcept {
    if (!watched || outstanding != ready) return;
    watched = false;
    parent::end_watch();
  }

  // Sources are looked at without the mutex, so only those that a pending member keeps alive. One
  // that is delivered while it is added goes to -1 and back.
  void watch(const subscription& s, std::ptrdiff_t members_more) {
    std::size_t at = 0;
    while (at < sources.size() && (sources[at] != s.source || pending[at].of != s.threads)) ++at;
    if (at == sources.size()) {
      sources.push_back(s.source);
      pending.push_back({s.threads, 0});
    }
    pending[at].members += members_more;
    if (pending[at].members != 0) return;
    sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(at));
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(at));
  }
  // No more members come while its threads sleep: if they do, from elsewhere, it is too late.
  bool depends_on(const parent::thread_pool& pool) const noexcept override {
    const std::lock_guard lock(completion_hub::instance().mutex());
    return ready == 0 && pending.size() == 1 && pending.front().of == &pool;
  }
  void make_room() {
    sources.reserve(sources.size() + 1);
    pending.reserve(sources.size() + 1);
    if (spare != nullptr) return;
    nodes.emplace_back();
    spare = &nodes.back();
  }

  std::deque<subscription> nodes;
  subscription* spare = nullptr;
  subscription *first_ready = nullptr, *last_ready = nullptr;
  std::vector<completion_source*> sources;
  struct pending_members {
    const parent::thread_pool* of;  // if they are for threads
    std::ptrdiff_t members;
  };
  std::vector<pending_members> pending;  // that each source has yet to deliver
  std::size_t outstanding = 0, ready = 0;
  os::private_fd bell;   // readable while something is ready
  bool watched = false;  // by the callback thread
  home_process home;
};

completion_set::completion_set() : members_(std::make_unique<members>()) {}
completion_set::~completion_set() = default;
completion_set::completion_set(completion_set&&) noexcept = default;
completion_set& completion_set::operator=(completion_set&&) noexcept = default;

void completion_set::add(task_state& state, std::uint64_t tag) {
  members& m = *members_;
  check_home(m.home);
  completion_hub& hub = completion_hub::instance();
  std::thread former;  // joined without the mutex
  {
    const std::lock_guard lock(hub.mutex());
    m.make_room();
    ++m.outstanding;
    try {
      former = m.begin_watch_if_due();
    } catch (...) {
      --m.outstanding;
      throw;
    }
    subscription& s = *m.spare;
    m.spare = s.next;
    s = {&m, tag, &state, nullptr, nullptr, nullptr};
    state.subscribe(s);
    m.watch(s, 1);
    // Somebody may be waiting in next() while we add what is done already.
    if (m.first_ready != nullptr) hub.ring();
  }
  if (former.joinable()) former.join();
}

std::size_t completion_set::outstanding() const {
  check_home(members_->home);
  const std::lock_guard lock(completion_hub::instance().mutex());
  return members_->outstanding;
}

std::optional<std::uint64_t> completion_set::next(const time_point* deadline) {
  members& m = *members_;
  check_home(m.home);
  const parent::thread_pool::waiting_scope not_the_last(m, deadline == nullptr);
  completion_hub& hub = completion_hub::instance();
  std::unique_lock lock(hub.mutex());
  if (m.first_ready == nullptr) {
    const auto over = [&] { return m.first_ready != nullptr || m.outstanding == 0; };
    if (m.outstanding == 0 || !hub.wait(lock, deadline, m.sources, over)) return std::nullopt;
    if (m.first_ready == nullptr) return std::nullopt;  // another thread took the last one
  }
  const std::uint64_t tag = m.take_ready();
  if (m.outstanding == 0) hub.ring();
  return tag;
}

std::optional<std::uint64_t> completion_set::try_next() {
  check_home(members_->home);
  completion_hub& hub = completion_hub::instance();
  const std::lock_guard lock(hub.mutex());
  if (members_->first_ready == nullptr) hub.drain();
  if (members_->first_ready == nullptr) return std::nullopt;
  const std::uint64_t tag = members_->take_ready();
  if (members_->outstanding == 0) hub.ring();
  return tag;
}

int completion_set::descriptor() {
  members& m = *members_;
  check_home(m.home);
  std::thread former;  // joined without the mutex
  {
    const std::lock_guard lock(completion_hub::instance().mutex());
    if (!m.bell) {
      m.bell = os::make_event_fd();
      if (m.ready != 0) os::signal_event_fd(m.bell.get());
    }
    former = m.begin_watch_if_due();
  }
  if (former.joinable()) former.join();
  return m.bell.get();
}

}  // namespace procpool::detail
