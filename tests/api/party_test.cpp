// Parties of a barrier: a process that ends before it arrives is noticed.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <ranges>
#include <thread>
#include <vector>

#include "support/process_fixture.hpp"
#include "support/shared_memory.hpp"

namespace procpool::testing {

// An argument that ends the worker that receives it, so that what comes after it is never
// received. Not in an unnamed namespace: it is named in a specialisation.
struct deadly_to_receive {};

}  // namespace procpool::testing

template <>
struct procpool::codec<procpool::testing::deadly_to_receive> {
  static int to_wire(const testing::deadly_to_receive&) { return 0; }
  static testing::deadly_to_receive from_wire(int) {
    raise(SIGKILL);
    return {};
  }
};

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;
using ::testing::UnorderedElementsAre;

constexpr auto bound = 20s;

class party_test : public shared_test {
 protected:
  void SetUp() override {
    process(nothing).join();  // what stays of the first one
    shared_test::SetUp();
  }
};
PROCPOOL_FOR_EACH_START_METHOD(party_test);

std::size_t meet(const party& p) { return p.wait(); }
bool meet_in_vain(const party& p) {
  try {
    p.wait();
  } catch (const broken_barrier_error&) {
    return true;
  }
  return false;
}

TEST_P(party_test, all_parties_arrive) {
  process_pool_executor pool(options(3));
  const barrier b(3);
  for (int turn = 0; turn < 5; ++turn) {  // with other parties each time
    std::vector<future<std::size_t>> places;
    for (int i = 0; i < 3; ++i) places.push_back(pool.submit(meet, party(b)));
    std::vector<std::size_t> all;
    for (auto& f : places) all.push_back(f.get_for(bound));
    EXPECT_THAT(all, UnorderedElementsAre(0, 1, 2));
  }
  EXPECT_FALSE(b.broken());
}

TEST_P(party_test, a_worker_is_killed_before_it_arrives) {
  process_pool_executor pool(options(3));
  const barrier b(3);
  auto first = pool.submit(meet_in_vain, party(b)), second = pool.submit(meet_in_vain, party(b));
  EXPECT_TRUE(eventually([&] { return b.waiting() == 2; }));
  auto third = pool.submit([](const party&) { raise(SIGKILL); }, party(b));
  EXPECT_TRUE(first.get_for(bound) && second.get_for(bound));
  EXPECT_TRUE(b.broken());
  EXPECT_THROW(third.get(), worker_crashed);
}

TEST_P(party_test, a_worker_is_killed_between_two_turns) {
  process_pool_executor pool(options(2));
  const barrier b(3);
  const auto twice = [](const party& p) {
    p.wait();
    return meet_in_vain(p);
  };
  const auto once = [](const party& p) {
    p.wait();
    raise(SIGKILL);
  };
  auto stays = pool.submit(twice, party(b));
  auto dies = pool.submit(once, party(b));
  {
    const party mine(b);
    mine.wait_for(bound);
    EXPECT_THROW(mine.wait(), broken_barrier_error);
  }
  EXPECT_TRUE(stays.get_for(bound));
  EXPECT_THROW(dies.get(), worker_crashed);
}

TEST_P(party_test, a_task_returns_and_has_not_arrived) {
  process_pool_executor pool(options(2));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  auto returns = pool.submit([](const party&) {}, party(b));
  EXPECT_TRUE(waits.get_for(bound));
  returns.get();
}

TEST_P(party_test, a_task_is_cancelled_before_it_runs) {
  process_pool_executor pool(options(1));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  {
    auto never = pool.submit(meet, party(b));
    EXPECT_TRUE(eventually([&] { return b.waiting() == 1; }));
    EXPECT_TRUE(never.cancel());
  }
  EXPECT_TRUE(waits.get_for(bound));
}

TEST_P(party_test, a_task_is_cancelled_and_its_future_is_kept) {
  process_pool_executor pool(options(1));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  auto never = pool.submit(meet, party(b));
  EXPECT_TRUE(eventually([&] { return b.waiting() == 1; }));
  EXPECT_TRUE(never.cancel());
  EXPECT_TRUE(waits.get_for(bound));
  EXPECT_THROW(never.get(), cancelled_error);
}

// The task has begun and its worker dies, and no process has received its party.
std::size_t never_comes(deadly_to_receive, const party& p) { return p.wait(); }

TEST_P(party_test, a_worker_dies_before_it_has_received_its_party) {
  process_pool_executor pool(options(2));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  auto dies = pool.submit(never_comes, deadly_to_receive(), party(b));
  EXPECT_TRUE(waits.get_for(bound));
  EXPECT_THROW(dies.get(), worker_crashed);
}

TEST_P(party_test, a_worker_of_a_map_dies_before_it_has_received_its_party) {
  process_pool_executor pool(options(2));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  // Made when the task is: a range of parties that the map keeps would keep them alive.
  auto parties = std::views::iota(0, 1) | std::views::transform([b](int) { return party(b); });
  auto dies = pool.map(never_comes, std::vector<deadly_to_receive>(1), parties);
  EXPECT_TRUE(waits.get_for(bound));
  EXPECT_THROW(dies.begin(), worker_crashed);
}

TEST_P(party_test, a_task_has_no_retries_left_before_it_has_received_its_party) {
  process_pool_executor pool(options(2));
  const barrier b(2);
  auto waits = pool.submit(meet_in_vain, party(b));
  auto dies = pool.submit({.retries = 2}, never_comes, deadly_to_receive(), party(b));
  EXPECT_TRUE(waits.get_for(bound));
  EXPECT_THROW(dies.get(), worker_crashed);
}

TEST_P(party_test, parties_of_threads_and_processes) {
  const barrier b(3);
  process p({.start = start_method::spawn}, [](const party& here) { here.wait(); }, party(b));
  process dies(
      {.start = start_method::spawn},
      [](const party& here) {
        here.wait();
        _exit(1);
      },
      party(b));
  std::thread thread([mine = party(b)] {
    mine.wait();
    EXPECT_THROW(mine.wait(), broken_barrier_error);
  });
  thread.join();
  p.join(), dies.join();
}

TEST_P(party_test, no_more_parties_than_the_barrier_has) {
  const barrier b(2);
  const party first(b);
  {
    const party second(b);
    EXPECT_THAT([&] { const party third(b); },
                ThrowsMessage<invalid_state_error>(HasSubstr("for each of them already")));
    EXPECT_FALSE(first == second);
    const party same = second;  // NOLINT(performance-unnecessary-copy-initialization)
    EXPECT_TRUE(same == second);
  }
  const party another(b);  // in the place of the party that is gone
  std::thread thread([&] { EXPECT_LT(another.wait_for(bound), 2U); });
  EXPECT_LT(first.wait_for(bound), 2U);
  thread.join();
}

TEST_P(party_test, a_task_makes_and_keeps_a_party) {
  process_pool_executor pool(options(1));
  const barrier b(2);
  auto waits = pool.submit(
      [](const barrier& at) {
        const party mine(at);
        mine.wait();
        return meet_in_vain(mine);
      },
      b);
  {
    const party mine(b);
    mine.wait_for(bound);
  }
  EXPECT_TRUE(waits.get_for(bound));
}

TEST_P(party_test, a_party_that_was_moved_from) {
  party p(barrier(1));
  const party q = std::move(p);
  EXPECT_FALSE(static_cast<bool>(p));
  EXPECT_THROW(p.wait(), invalid_state_error);
  EXPECT_EQ(q.wait(), 0U);
}

// Without parties: one that has died in its wait is not there the next time.
TEST_P(party_test, a_process_dies_alone_at_a_barrier) {
  const barrier b(2);
  process dies({.start = method()}, [](const barrier& at) { at.wait(); }, b);
  EXPECT_TRUE(eventually([&] { return b.waiting() == 1; }));
  dies.kill();
  dies.join();
  EXPECT_EQ(b.wait(), 1U);  // it had come
  EXPECT_THROW(b.wait(), broken_barrier_error);
}

}  // namespace
