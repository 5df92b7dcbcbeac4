// The rules by which a pool replaces its workers, and breaks when that is of no use. No worker
// runs: the test says how each has ended.
#include "pool/crew.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <vector>

#include "pool/task_record.hpp"

namespace procpool::parent {
namespace {

constexpr shm::u32 workers = 2;
constexpr int least_deaths = 5;  // more than twice as many as workers

class crew_test : public ::testing::Test {
 protected:
  // With an errno value the worker could not be started.
  worker_death death(int error = 0) const {
    return {tested.id_of(0), error == 0 ? 4711 : 0, CLD_KILLED, SIGKILL, error};
  }

  shm::region region = shm::region::create(workers);
  crew::server_ptr no_server;
  crew tested{region, no_server, false};
  crew with_initializer{region, no_server, true};
};

TEST_F(crew_test, a_new_crew_has_empty_seats) {
  EXPECT_EQ(tested.size(), workers);
  EXPECT_FALSE(tested.any_taken());
  EXPECT_FALSE(tested.is_taken(0));
  EXPECT_FALSE(tested.is_taken(workers)) << "there is no such seat";
  EXPECT_FALSE(tested.has({0, 1}));
  EXPECT_EQ(tested.next_start(), std::nullopt);
  EXPECT_EQ(tested.start_error(), 0);
  EXPECT_EQ(tested.stats_of(0, false).state, worker_state::ended);
}

TEST_F(crew_test, a_wanted_seat_is_due_after_its_pause) {
  tested.want(1, std::chrono::hours(1));
  EXPECT_FALSE(tested.is_due(1));
  const auto late = tested.next_start();
  ASSERT_TRUE(late);
  tested.want(0, duration::zero());
  EXPECT_TRUE(tested.is_due(0));
  const auto early = tested.next_start();
  ASSERT_TRUE(early);
  EXPECT_LT(*early, *late) << "the earliest start is the next one";
  tested.want_none();
  EXPECT_FALSE(tested.is_due(0));
  EXPECT_EQ(tested.next_start(), std::nullopt);
}

TEST_F(crew_test, deaths_in_tasks_are_replaced_at_once_and_never_break_the_pool) {
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(tested.judge(death(), true), crew::verdict::restart);
    ASSERT_TRUE(tested.is_due(0));
  }
  EXPECT_EQ(tested.restarts(), 100U);
}

TEST_F(crew_test, deaths_without_progress_break_the_pool_in_the_end) {
  int deaths = 1;
  while (tested.judge(death(), false) == crew::verdict::restart) ASSERT_LT(++deaths, 100);
  EXPECT_EQ(deaths, least_deaths);
  EXPECT_EQ(tested.cause(crew::verdict::workers_die, death()),
            "the pool's workers were ended by signal 9 (SIGKILL) before they ran any task, again "
            "and again");
}

TEST_F(crew_test, the_second_death_without_progress_makes_the_next_start_wait) {
  ASSERT_EQ(tested.judge(death(), false), crew::verdict::restart);
  EXPECT_TRUE(tested.is_due(0)) << "the first death may be an accident";
  const time_point before = now();
  ASSERT_EQ(tested.judge(death(), false), crew::verdict::restart);
  const auto next = tested.next_start();
  ASSERT_TRUE(next);
  EXPECT_GE(*next - before, std::chrono::milliseconds(10));
}

// More deaths than max(3, 2 x workers), and between them pauses from 10 ms to 1 s.
TEST_F(crew_test, larger_pools_bear_more_deaths_and_their_pauses_double) {
  for (const shm::u32 n : {1U, 2U, 16U}) {
    const shm::region place = shm::region::create(n);
    crew c(place, no_server, false);
    std::vector<duration> pauses;
    for (time_point before = now(); c.judge(death(), false) == crew::verdict::restart;
         before = now()) {
      ASSERT_LE(pauses.size(), 100U);
      pauses.push_back(*c.next_start() - before);
    }
    EXPECT_EQ(pauses.size(), std::max(3U, 2 * n)) << n;
    duration expected{};
    for (std::size_t i = 1; i < pauses.size(); ++i) {
      expected = i == 1 ? duration(0.01) : std::min(expected * 2, duration(1));
      EXPECT_GE(pauses[i], expected * 0.999) << n << ' ' << i;
      // The machine may have other work between the two looks at the clock, but no more than that.
      EXPECT_LT(pauses[i], expected + duration(30)) << n << ' ' << i;
    }
  }
}

TEST_F(crew_test, settings_that_a_worker_cannot_apply_break_the_pool_at_once) {
  region.worker(0).ready.store(shm::settings_failed);
  EXPECT_EQ(tested.judge(death(), true), crew::verdict::restart)
      << "a worker that has run a task had its settings, whatever its line says";
  EXPECT_EQ(tested.judge(death(), false), crew::verdict::settings_failed);
}

TEST_F(crew_test, a_completed_task_clears_the_count_of_deaths_without_progress) {
  for (int i = 0; i < 10; ++i) {
    for (int k = 1; k < least_deaths; ++k) {
      ASSERT_EQ(tested.judge(death(), false), crew::verdict::restart) << i << " " << k;
    }
    ASSERT_EQ(tested.judge(death(), true), crew::verdict::restart);
  }
}

TEST_F(crew_test, failed_starts_break_the_pool_only_if_no_worker_runs) {
  int starts = 1;
  while (tested.judge(death(EAGAIN), false) == crew::verdict::restart) ASSERT_LT(++starts, 100);
  EXPECT_EQ(starts, least_deaths);
  EXPECT_EQ(tested.start_error(), 0) << "no other worker runs";

  crew another{region, no_server, false};
  ASSERT_TRUE(another.note_start({1, 0}, 4711));
  for (int i = 0; i < 100; ++i) {
    const time_point before = now();
    ASSERT_EQ(another.judge(death(EAGAIN), false), crew::verdict::restart);
    const auto next = another.next_start();
    ASSERT_TRUE(next);
    ASSERT_GE(*next - before, std::chrono::seconds(1)) << "the pool waits before it asks again";
  }
}

TEST_F(crew_test, an_initializer_that_throws_breaks_the_pool_at_once) {
  region.worker(0).ready.store(shm::initializer_failed);
  EXPECT_EQ(with_initializer.judge(death(), false), crew::verdict::initializer_threw);
  EXPECT_EQ(with_initializer.judge(death(), true), crew::verdict::restart)
      << "a worker that has run a task was initialized, whatever its line says";
  EXPECT_EQ(tested.judge(death(), false), crew::verdict::restart) << "there is no initializer";
}

TEST_F(crew_test, an_initializer_that_crashes_breaks_the_pool_after_three_restarts) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(with_initializer.judge(death(), false), crew::verdict::restart);
  }
  EXPECT_EQ(with_initializer.judge(death(), false), crew::verdict::initializer_crashes);
}

TEST_F(crew_test, a_report_about_an_earlier_worker_changes_nothing) {
  EXPECT_FALSE(tested.note_start({0, 7}, 4711));
  EXPECT_FALSE(tested.any_taken());
  ASSERT_TRUE(tested.note_start(tested.id_of(0), 4711));
  EXPECT_TRUE(tested.has(tested.id_of(0)));
  EXPECT_FALSE(tested.has({0, 7}));
  EXPECT_EQ(tested.stats_of(0, false).pid, 4711);
}

TEST_F(crew_test, a_vacated_seat_keeps_the_possible_part_of_its_count_of_tasks) {
  ASSERT_TRUE(tested.note_start(tested.id_of(0), 4711));
  region.worker(0).tasks.store(1'000'000);  // by mistake: ten were submitted
  EXPECT_EQ(tested.vacate(0, 10).tasks, 10U);
  EXPECT_FALSE(tested.is_taken(0));
  EXPECT_EQ(tested.stats_of(0, false).tasks_done, 10U);
  EXPECT_EQ(tested.stats_of(0, false).pid, 0);
}

}  // namespace
}  // namespace procpool::parent
