// The bookkeeping by which a thread pool finds out that all its threads wait for it. What a pool
// makes of it is tested by conformance/deadlock and api/thread_waits.
#include "runtime/blocking_guard.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <thread>

namespace procpool::testing {
namespace {

using runtime::awaited;
using runtime::waiting_scope;

struct waits_for final : awaited {
  explicit waits_for(runtime::thread_group_id g) : group(g) {}
  bool depends_on(runtime::thread_group_id g) const noexcept override { return g == group; }
  const runtime::thread_group_id group;
};

// Of one thread, so that a scope which depends on the group is one too many.
class group_of_one final : public runtime::thread_group {
 public:
  bool begin_waiting(waiting_scope& scope) override {
    if (!guarded) return false;
    waiting.add(scope);
    if (!waiting.all_depend_on(id())) return true;
    waiting.remove(scope);
    throw std::logic_error("deadlock");
  }
  void end_waiting(waiting_scope& scope) noexcept override { waiting.remove(scope); }

  runtime::waiting_threads waiting;
  bool guarded = true;
};

// A thread enters a group once and for all, so each test has a thread of its own.
template <class F>
void in_a_thread_of(group_of_one& group, F f) {
  std::thread([&] {
    runtime::enter_group(group);
    f();
  }).join();
}

TEST(blocking_guard_test, threads_of_the_program_are_in_no_group) {
  EXPECT_EQ(runtime::current_group(), nullptr);
  const waits_for nothing(nullptr);
  const waiting_scope scope(nothing);
}

TEST(blocking_guard_test, a_wait_for_another_group_is_counted_while_it_lasts) {
  group_of_one group;
  in_a_thread_of(group, [&] {
    EXPECT_EQ(runtime::current_group(), &group);
    const int other_group = 0;
    const waits_for elsewhere(&other_group);
    {
      const waiting_scope outer(elsewhere);
      const waiting_scope inner(elsewhere);
      EXPECT_EQ(group.waiting.count(), 2U);
    }
    EXPECT_EQ(group.waiting.count(), 0U);
  });
}

TEST(blocking_guard_test, a_wait_for_the_own_group_is_refused) {
  group_of_one group;
  in_a_thread_of(group, [&] {
    const waits_for itself(group.id());
    EXPECT_THROW(const waiting_scope scope(itself), std::logic_error);
    EXPECT_EQ(group.waiting.count(), 0U);
    // What waits for something else will run on, and can do the work.
    const waits_for elsewhere(nullptr);
    const waiting_scope other(elsewhere);
    const waiting_scope scope(itself);
    EXPECT_EQ(group.waiting.count(), 2U);
  });
}

TEST(blocking_guard_test, a_wait_with_a_timeout_is_not_guarded) {
  group_of_one group;
  in_a_thread_of(group, [&] {
    const waits_for itself(group.id());
    const waiting_scope scope(itself, false);
    EXPECT_EQ(group.waiting.count(), 0U);
  });
}

TEST(blocking_guard_test, a_group_may_guard_nothing) {
  group_of_one group;
  group.guarded = false;
  in_a_thread_of(group, [&] {
    const waits_for itself(group.id());
    const waiting_scope scope(itself);
    EXPECT_EQ(group.waiting.count(), 0U);
  });
}

TEST(blocking_guard_test, scopes_may_end_in_any_order) {
  group_of_one group;
  in_a_thread_of(group, [&] {
    const waits_for elsewhere(nullptr);
    auto first = std::make_unique<waiting_scope>(elsewhere);
    auto second = std::make_unique<waiting_scope>(elsewhere);
    const waiting_scope third(elsewhere);
    first.reset();
    EXPECT_EQ(group.waiting.count(), 2U);
    second.reset();
    EXPECT_EQ(group.waiting.count(), 1U);
    EXPECT_TRUE(group.waiting.all_depend_on(nullptr));
  });
}

}  // namespace
}  // namespace procpool::testing
