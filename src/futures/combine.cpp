// when_all, when_any and with_timeout: listens to the inputs, and resolves under the hub's mutex.
#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "futures/callbacks.hpp"
#include "futures/completion_hub.hpp"
#include "procpool/detail/task/combination.hpp"
#include "procpool/errors.hpp"
#include "runtime/blocking_guard.hpp"

namespace procpool::detail {

using futures::completion_hub;

// Tells clang's analysis that the mutex is that of the process's hub.
#define GUARDED_BY_HUB GUARDED_BY(completion_hub::instance().mutex())
#define REQUIRES_HUB REQUIRES(completion_hub::instance().mutex())

namespace {

void assert_hub_held_here() ASSERT_CAPABILITY(completion_hub::instance().mutex()) {}

std::string text_of(duration limit) {
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, limit.count(), std::chars_format::general, 6).ptr;
  return std::string(text, end) + " s";
}

}  // namespace

struct combination::members final : completion_listener, runtime::awaited, futures::alarm {
  struct input {
    task_state* state;
    bool owned;
    subscription wish;
  };
  // The inputs of one source that are not done. A thread that waits spins on the source, which they
  // keep alive.
  struct pending_inputs {
    thread_group_id of;  // the group, if they are for threads
    bool will_come;
    std::ptrdiff_t count;
  };

  members(combination& c, combination_rule r, std::size_t n) : self(c), rule(r) {
    inputs.reserve(n);
  }

  void completed(subscription& s) noexcept override {
    assert_hub_held_here();
    count(s, -1);
    --left;
    const auto which = static_cast<std::size_t>(s.tag);
    const bool bad = rule == combination_rule::all && inputs[which].state->failed();
    if (rule == combination_rule::all && !bad && left != 0) return;
    if (!self.begin()) return;  // decided already
    first = which;
    has_failed = bad;
    futures::clear_alarm(*this);
    self.finish_under_hub();
  }

  void count(const subscription& s, std::ptrdiff_t more) REQUIRES_HUB {
    std::size_t at = 0;
    while (at < sources.size() && (sources[at] != s.source || pending[at].of != s.group ||
                                   pending[at].will_come != s.will_come)) {
      ++at;
    }
    if (at == sources.size()) {
      sources.push_back(s.source);
      pending.push_back({s.group, s.will_come, 0});
    }
    pending[at].count += more;
    if (pending[at].count != 0) return;
    sources.erase(sources.begin() + static_cast<std::ptrdiff_t>(at));
    pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void make_room() REQUIRES_HUB {
    sources.reserve(sources.size() + 1);
    pending.reserve(sources.size() + 1);
  }

  bool depends_on(thread_group_id group) const noexcept override {
    const base::lock_guard lock(completion_hub::instance().mutex());
    if (self.local_task::status() >= task_status::cancelled) return false;
    const auto is_of_group = [group](const pending_inputs& p) { return p.of == group; };
    return rule == combination_rule::all ? std::ranges::any_of(pending, is_of_group)
                                         : std::ranges::all_of(pending, is_of_group);
  }

  void keep() noexcept override { self.retain_object(); }
  void go_off() noexcept override {
    expire();
    self.release_object();
  }

  void expire() noexcept {
    if (!self.begin()) return;
    try {
      std::string text = "the task did not finish within " + text_of(limit);
      bool goes_on = false, killed = false;
      for (const input& i : inputs) {
        const bool runs = i.state->status() == task_status::running;
        if (!i.owned || !i.state->cancel(kill_running)) {
          goes_on = true;
        } else if (runs) {
          killed = true;
        }
      }
      if (goes_on) {
        text += kill_running ? "; it continues, since a thread cannot be stopped"
                             : "; it continues, and cancel_mode::kill_running would end it";
      } else {
        text += killed ? "; its worker is killed" : "; it had not begun, and is cancelled";
      }
      throw timeout_error(text);
    } catch (...) {
      self.set_error(std::current_exception());
    }
    has_expired = true;
    self.finish();
  }

  combination& self;
  const combination_rule rule;
  std::vector<input> inputs;  // constant after start(); the subscriptions are the hub's
  std::size_t left GUARDED_BY_HUB = 0;
  std::vector<completion_source*> sources GUARDED_BY_HUB;
  std::vector<pending_inputs> pending GUARDED_BY_HUB;  // of each source
  bool listening GUARDED_BY_HUB = false;
  // Set once, before the end.
  duration limit{};
  std::optional<time_point> deadline;
  bool kill_running = false;
  std::size_t first = 0;
  bool has_failed = false, has_expired = false;  // the input `first`; the limit
  base::mutex assembling;
  bool is_made GUARDED_BY(assembling) = false;
};

combination::combination(combination_rule rule, std::size_t inputs)
    : local_task(nullptr), members_(std::make_unique<members>(*this, rule, inputs)) {}
combination::~combination() = default;

void combination::add(task_state& input, bool owned) {
  check_home(input.home());
  members_->inputs.push_back({&input, owned, {}});
}

void combination::start(std::optional<duration> limit, bool kill_running) {
  check_home(home());
  members& m = *members_;
  end_rings_hub();
  m.kill_running = kill_running;
  if (limit) {
    m.limit = *limit;
    m.deadline = deadline_after(*limit);
  }
  std::thread former;  // joined without the mutex
  {
    const base::lock_guard lock(completion_hub::instance().mutex());
    assert_hub_held_here();
    if (m.deadline) former = futures::set_alarm(m, *m.deadline);
    m.listening = true;
    m.left = m.inputs.size();
    for (std::size_t i = 0; i < m.inputs.size() && local_task::status() < task_status::cancelled;
         ++i) {
      members::input& in = m.inputs[i];
      m.make_room();
      in.wish = {&m, i, in.state, nullptr, nullptr, nullptr};
      in.state->subscribe(in.wish);
      m.count(in.wish, 1);
    }
    if (m.inputs.empty() && begin()) finish_under_hub();
  }
  if (former.joinable()) former.join();
}

void combination::withdraw() noexcept {
  // In a copy of the process the tasks do not exist, and the mutex may be held for ever.
  if (!home().is_here()) return;
  members& m = *members_;
  const base::lock_guard lock(completion_hub::instance().mutex());
  assert_hub_held_here();
  if (!m.listening) return;
  m.listening = false;
  futures::clear_alarm(m);
  for (members::input& in : m.inputs) {
    if (in.wish.state != nullptr) in.wish.state->unsubscribe(in.wish);
  }
  m.sources.clear();
  m.pending.clear();
}

task_status combination::status() const {
  task_status s = local_task::status();
  if (s < task_status::cancelled) {
    // No other thread may be looking for completions.
    completion_hub& hub = completion_hub::instance();
    const base::lock_guard lock(hub.mutex());
    hub.drain();
    s = local_task::status();
  }
  // It runs nothing, even while its end is under way.
  return s == task_status::running ? task_status::pending : s;
}

bool combination::failed() const noexcept { return members_->has_failed || local_task::failed(); }

bool combination::wait_until(const time_point* deadline) {
  const auto is_done = [this] { return local_task::status() >= task_status::cancelled; };
  if (is_done()) return true;
  members& m = *members_;
  const runtime::waiting_scope not_the_last(m, deadline == nullptr && !m.deadline);
  bool may_expire = m.deadline.has_value();
  for (;;) {
    const bool limit_is_next = may_expire && (deadline == nullptr || *m.deadline <= *deadline);
    const time_point* const until = limit_is_next ? &*m.deadline : deadline;
    {
      completion_hub& hub = completion_hub::instance();
      base::unique_lock lock(hub.mutex());
      assert_hub_held_here();
      if (hub.wait(lock, until, m.sources, is_done)) return true;
    }
    if (!limit_is_next) return is_done();
    // The callback thread may be busy, or may be in expire() itself.
    m.expire();
    may_expire = false;
    if (is_done()) return true;
  }
}

outcome_view combination::wait_and_pin() {
  wait_until(nullptr);
  return pin();
}

outcome_view combination::pin() {
  members& m = *members_;
  if (local_task::status() != task_status::cancelled) {
    const base::lock_guard lock(m.assembling);
    if (!m.is_made && error_ == nullptr) {
      withdraw();
      try {
        if (m.has_failed) set_error(error_of(m.first));
        if (error_ == nullptr) assemble(m.first);
      } catch (...) {
        set_error(std::current_exception());
      }
    }
    m.is_made = true;
  }
  return local_task::pin();
}

bool combination::cancel(bool kill_running) {
  members& m = *members_;
  // Its owner may destroy the future as soon as it is cancelled.
  struct keep {
    explicit keep(combination& c) : self(c) { self.retain_object(); }
    ~keep() { self.release_object(); }
    combination& self;
  } const kept(*this);
  if (!local_task::cancel(kill_running)) return false;
  {
    const base::lock_guard lock(completion_hub::instance().mutex());
    futures::clear_alarm(m);
  }
  for (const members::input& in : m.inputs) {
    if (in.owned) in.state->cancel(kill_running);
  }
  return true;
}

void combination::name_source(subscription& s) const {
  local_task::name_source(s);
  assert_hub_held_here();
  const members& m = *members_;
  const completion_hub& hub = completion_hub::instance();
  const bool all = m.rule == combination_rule::all;
  // A promise may never be set.
  const auto will_be_done = [&](std::size_t i) {
    assert_hub_held_here();
    return m.pending[i].of != nullptr || m.pending[i].will_come || hub.has(m.sources[i]);
  };
  std::size_t sure = 0;
  for (std::size_t i = 0; i < m.sources.size(); ++i) {
    if (!will_be_done(i)) continue;
    ++sure;
    // A group says that without its threads the end does not come.
    if (m.pending[i].of != nullptr && (all || m.sources.size() == 1)) s.group = m.pending[i].of;
    // A thread that waits spins on the source.
    if (hub.has(m.sources[i])) s.source = m.sources[i];
  }
  s.will_come = sure != 0 && (!all || sure == m.sources.size());
  if (!s.will_come) s.group = nullptr;  // a group would say that the end comes
}

void throw_nothing_to_wait_for() {
  throw std::invalid_argument("when_any needs at least one future");
}

}  // namespace procpool::detail
