#include "parent/completions.hpp"

#include "procpool/detail/completion_set.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>

#include "launch/thread_gate.hpp"
#include "os/cpu_count.hpp"
#include "os/futex.hpp"

namespace procpool::parent {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t look_us = 20;
// A wake can be lost with a process that dies between DONE and the bell; then we look again.
constexpr std::chrono::nanoseconds longest_sleep = 100ms;

}  // namespace

completion_hub& completion_hub::instance() {
  static completion_hub* const hub = new completion_hub;
  return *hub;
}

completion_hub::completion_hub() : page_(&shm::parent_page()) {}

void completion_hub::attach(detail::completion_source& source) { sources_.push_back(&source); }

void completion_hub::detach(detail::completion_source& source) noexcept {
  std::erase(sources_, &source);
}

void completion_hub::drain() noexcept {
  for (detail::completion_source* s : sources_) s->drain();
}

void completion_hub::ring() noexcept {
  if (sleeping_ == 0) return;
  page_->bell.fetch_add(1);
  os::futex_wake(page_->bell, std::numeric_limits<int>::max());
}

std::uint32_t completion_hub::arm() {
  const std::uint32_t bell = page_->bell.load();
  // seq_cst: before the drain that follows; the worker stores DONE before it reads this
  page_->armed.store(1);
  return bell;
}

bool completion_hub::look(std::unique_lock<std::mutex>& lock,
                          const std::vector<detail::completion_source*>& sources) {
  if (sources.empty()) return false;
  // Others change the list while the mutex is free.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const std::vector<detail::completion_source*> watched = sources;
  lock.unlock();
  const bool found = patience::of_this_thread().look([&] {
    return std::any_of(watched.begin(), watched.end(),
                       [](const detail::completion_source* s) { return s->anything_done(); });
  });
  lock.lock();
  return found;
}

bool completion_hub::sleep(std::unique_lock<std::mutex>& lock, std::uint32_t bell,
                           const time_point* deadline) {
  std::chrono::nanoseconds left = longest_sleep;
  if (deadline != nullptr) {
    const duration d = *deadline - std::chrono::steady_clock::now();
    if (d <= duration::zero()) return false;
    if (d < longest_sleep) left = std::chrono::duration_cast<std::chrono::nanoseconds>(d) + 1ns;
  }
  ++sleeping_;
  lock.unlock();
  {
    std::optional<launch::blocking_scope> forks_may_happen;
    if (on_own_thread) forks_may_happen.emplace();
    os::futex_wait(page_->bell, bell, left);
  }
  lock.lock();
  --sleeping_;
  return true;
}

patience& patience::of_this_thread() {
  thread_local patience p;
  return p;
}

bool patience::begin() {
  // With one CPU the worker cannot run while we look.
  static const bool pays = os::cpu_count() > 1;
  if (!pays) return false;
  if (skip_ != 0) {
    --skip_;
    return false;
  }
  limit_ = base::cycles() + look_us * base::cycles_per_us();
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

// Guarded by the hub's mutex, but for what next() keeps to itself.
struct completion_set::members final : completion_listener {
  ~members() {
    const std::lock_guard lock(completion_hub::instance().mutex());
    for (subscription& s : nodes) {
      if (s.state != nullptr) s.state->unsubscribe(s);
    }
  }
  void completed(subscription& s) noexcept override {
    watch(*s.source, -1);
    ready.push_back(s.tag);
    s.next = spare;
    spare = &s;
  }

  // Sources are looked at without the mutex, so only those that a pending member keeps alive. One
  // that is delivered while it is added goes to -1 and back.
  void watch(completion_source& source, std::ptrdiff_t members_more) {
    const auto at = std::find(sources.begin(), sources.end(), &source) - sources.begin();
    if (static_cast<std::size_t>(at) == sources.size()) {
      sources.push_back(&source);
      pending.push_back(0);
    }
    pending[static_cast<std::size_t>(at)] += members_more;
    if (pending[static_cast<std::size_t>(at)] != 0) return;
    sources.erase(sources.begin() + at);
    pending.erase(pending.begin() + at);
  }

  std::deque<subscription> nodes;
  subscription* spare = nullptr;
  std::deque<std::uint64_t> ready;
  std::vector<completion_source*> sources;
  std::vector<std::ptrdiff_t> pending;  // members that each source has yet to deliver
  std::size_t outstanding = 0;
};

completion_set::completion_set() : members_(std::make_unique<members>()) {}
completion_set::~completion_set() = default;
completion_set::completion_set(completion_set&&) noexcept = default;
completion_set& completion_set::operator=(completion_set&&) noexcept = default;

void completion_set::add(task_state& state, std::uint64_t tag) {
  members& m = *members_;
  completion_hub& hub = completion_hub::instance();
  const std::lock_guard lock(hub.mutex());
  if (m.spare == nullptr) {
    m.nodes.emplace_back();
    m.spare = &m.nodes.back();
  }
  subscription& s = *m.spare;
  m.spare = s.next;
  s = {&m, tag, &state, nullptr, nullptr};
  ++m.outstanding;
  state.subscribe(s);
  m.watch(*s.source, 1);
  // Somebody may be waiting in next() while we add what is done already.
  if (!m.ready.empty()) hub.ring();
}

std::size_t completion_set::outstanding() const {
  const std::lock_guard lock(completion_hub::instance().mutex());
  return members_->outstanding;
}

std::optional<std::uint64_t> completion_set::next(const time_point* deadline) {
  members& m = *members_;
  completion_hub& hub = completion_hub::instance();
  std::unique_lock lock(hub.mutex());
  if (m.ready.empty()) {
    if (m.outstanding == 0) return std::nullopt;
    if (!hub.wait(lock, deadline, m.sources, [&] { return !m.ready.empty(); })) return std::nullopt;
  }
  const std::uint64_t tag = m.ready.front();
  m.ready.pop_front();
  --m.outstanding;
  return tag;
}

}  // namespace procpool::detail
