#include "procpool/detail/task/completion_set.hpp"

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "futures/callbacks.hpp"
#include "futures/completion_hub.hpp"
#include "os/event_fd.hpp"
#include "runtime/blocking_guard.hpp"

namespace procpool::detail {

using futures::completion_hub;

// Tells clang's analysis that the mutex is that of the process's hub, whichever reference it is
// locked by.
#define GUARDED_BY_HUB GUARDED_BY(completion_hub::instance().mutex())
#define REQUIRES_HUB REQUIRES(completion_hub::instance().mutex())

namespace {

void assert_hub_held() ASSERT_CAPABILITY(completion_hub::instance().mutex()) {}

}  // namespace

struct completion_set::members final : completion_listener, runtime::awaited {
  ~members() {
    // In a copy of the process the tasks do not exist, and the mutex may be held for ever.
    if (!home.is_here()) {
      static_cast<void>(bell.release().release());  // closed when the copy was made
      return;
    }
    const base::lock_guard lock(completion_hub::instance().mutex());
    for (subscription& s : nodes) {
      if (s.state != nullptr) s.state->unsubscribe(s);
    }
    if (watched) futures::end_watch();
  }
  // Allocates nothing: add() has made room.
  void completed(subscription& s) noexcept override {
    assert_hub_held();
    watch(s, -1);
    s.next = nullptr;
    (last_ready == nullptr ? first_ready : last_ready->next) = &s;
    last_ready = &s;
    ++ready;
    if (ready == 1 && bell) os::signal_event_fd(bell.get());
    end_watch_if_idle();
  }
  std::uint64_t take_ready() REQUIRES_HUB {
    subscription& s = *first_ready;
    first_ready = s.next;
    if (first_ready == nullptr) last_ready = nullptr;
    s.next = std::exchange(spare, &s);
    --outstanding;
    if (--ready == 0 && bell) os::clear_event_fd(bell.get());
    return s.tag;
  }

  // A set that is polled by its descriptor may have no waiting thread to look for completions, so
  // the callback thread does it.
  std::thread begin_watch_if_due() REQUIRES_HUB {
    if (!bell || watched || outstanding == ready) return {};
    std::thread former = futures::begin_watch();
    watched = true;
    return former;
  }
  void end_watch_if_idle() noexcept REQUIRES_HUB {
    if (!watched || outstanding != ready) return;
    watched = false;
    futures::end_watch();
  }

  // A waiting thread spins on sources without the mutex, so `sources` has only sources that a
  // pending member keeps alive. A member that is delivered while it is added counts -1, and then 0.
  void watch(const subscription& s, std::ptrdiff_t members_more) REQUIRES_HUB {
    std::size_t at = 0;
    while (at < sources.size() && (sources[at] != s.source || pending[at].of != s.group)) ++at;
    if (at == sources.size()) {
      sources.push_back(s.source);
      pending.push_back({s.group, 0});
    }
    pending[at].members += members_more;
    if (pending[at].members != 0) return;
    sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(at));
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(at));
  }
  // While the group's threads sleep, members could come only from other threads, which would be too
  // late.
  bool depends_on(thread_group_id group) const noexcept override {
    const base::lock_guard lock(completion_hub::instance().mutex());
    return ready == 0 && pending.size() == 1 && pending.front().of == group;
  }
  void make_room() REQUIRES_HUB {
    sources.reserve(sources.size() + 1);
    pending.reserve(sources.size() + 1);
    if (spare != nullptr) return;
    nodes.emplace_back();
    spare = &nodes.back();
  }

  std::deque<subscription> nodes GUARDED_BY_HUB;
  subscription* spare GUARDED_BY_HUB = nullptr;
  subscription *first_ready GUARDED_BY_HUB = nullptr, *last_ready GUARDED_BY_HUB = nullptr;
  std::vector<completion_source*> sources GUARDED_BY_HUB;
  struct pending_members {
    thread_group_id of;  // the group, if they are for threads
    std::ptrdiff_t members;
  };
  std::vector<pending_members> pending GUARDED_BY_HUB;  // undelivered members of each source
  std::size_t outstanding GUARDED_BY_HUB = 0, ready GUARDED_BY_HUB = 0;
  os::private_fd bell;                  // readable while a member is ready
  bool watched GUARDED_BY_HUB = false;  // by the callback thread
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
    const base::lock_guard lock(hub.mutex());
    assert_hub_held();
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
    // Another thread may be waiting in next(), and the new member may be done already.
    if (m.first_ready != nullptr) hub.ring();
  }
  if (former.joinable()) former.join();
}

std::size_t completion_set::outstanding() const {
  check_home(members_->home);
  const base::lock_guard lock(completion_hub::instance().mutex());
  return members_->outstanding;
}

std::optional<std::uint64_t> completion_set::next(const time_point* deadline) {
  members& m = *members_;
  check_home(m.home);
  const runtime::waiting_scope not_the_last(m, deadline == nullptr);
  completion_hub& hub = completion_hub::instance();
  base::unique_lock lock(hub.mutex());
  assert_hub_held();
  if (m.first_ready == nullptr) {
    const auto over = [&] {
      assert_hub_held();
      return m.first_ready != nullptr || m.outstanding == 0;
    };
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
  const base::lock_guard lock(hub.mutex());
  assert_hub_held();
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
    const base::lock_guard lock(completion_hub::instance().mutex());
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
