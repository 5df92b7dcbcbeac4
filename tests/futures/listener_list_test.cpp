// The listeners of one task, which process pools, threads and promises share. Their lock is the
// caller's, and here there is one thread.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "futures/completion_hub.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "procpool/promise.hpp"

namespace procpool::testing {
namespace {

using detail::subscription;

struct recorder final : detail::completion_listener {
  void completed(subscription& s) noexcept override {
    told.push_back(s.tag);
    was_reset = was_reset && s.state == nullptr;
  }
  std::vector<std::uint64_t> told;
  bool was_reset = true;
};

class listener_list_test : public ::testing::Test {
 protected:
  subscription make(std::uint64_t tag) {
    subscription s;
    s.listener = &listener;
    s.tag = tag;
    s.state = task.native_state();
    return s;
  }

  recorder listener;
  promise<int> of_the_task;
  future<int> task = of_the_task.get_future();
  detail::listener_list list;
};

TEST_F(listener_list_test, listeners_are_told_in_the_order_of_subscription) {
  EXPECT_TRUE(list.empty());
  subscription a = make(1), b = make(2), c = make(3);
  for (subscription* s : {&a, &b, &c}) list.add(*s);
  EXPECT_FALSE(list.empty());
  list.deliver();
  EXPECT_EQ(listener.told, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_TRUE(listener.was_reset);
  EXPECT_TRUE(list.empty());
  list.deliver();
  EXPECT_EQ(listener.told.size(), 3U);
}

TEST_F(listener_list_test, a_subscription_that_is_removed_is_not_told) {
  subscription a = make(1), b = make(2), c = make(3);
  for (subscription* s : {&a, &b, &c}) list.add(*s);
  list.remove(b);
  EXPECT_EQ(b.state, nullptr);
  list.deliver();
  EXPECT_EQ(listener.told, (std::vector<std::uint64_t>{1, 3}));
  list.remove(a);  // delivered: nothing happens
}

TEST_F(listener_list_test, a_listener_may_subscribe_again_while_it_is_told) {
  struct resubscribes final : detail::completion_listener {
    void completed(subscription& s) noexcept override {
      if (++count == 1) list->add(s);
    }
    detail::listener_list* list = nullptr;
    int count = 0;
  } again;
  again.list = &list;
  subscription s = make(1);
  s.listener = &again;
  list.add(s);
  list.deliver();
  EXPECT_EQ(again.count, 1);
  EXPECT_FALSE(list.empty());
  list.deliver();
  EXPECT_EQ(again.count, 2);
}

}  // namespace
}  // namespace procpool::testing
