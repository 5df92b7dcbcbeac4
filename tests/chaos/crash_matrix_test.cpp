// Every way in which a task can go wrong, at every place where it can: {arguments decoded, run,
// result encoded} x {signals, exits, exceptions, hangs}, and what its values throw in the parent,
// where all else would be the end of the caller's own program. In each cell the error says what
// happened, and the pool continues: the next task succeeds, and at the end nothing is left.
// worker_life_test.cpp does the same to workers outside of tasks.
#include "chaos/strike.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

enum class where { nowhere, argument_encode, argument_decode, run, result_encode, result_decode };

// A value whose codec strikes at one place. The side is known by where the code runs.
struct bomb {
  where place = where::nowhere;
  how method = how::throw_;
};
bool in_worker() { return this_worker::index().has_value(); }

}  // namespace

template <>
struct procpool::codec<bomb> {
  static auto to_wire(const bomb& b) {
    if (b.place == where::argument_encode && !in_worker()) strike(b.method);
    if (b.place == where::result_encode && in_worker()) strike(b.method);
    return std::pair(static_cast<int>(b.place), static_cast<int>(b.method));
  }
  static bomb from_wire(std::pair<int, int>&& w) {
    const bomb b{static_cast<where>(w.first), static_cast<how>(w.second)};
    if (b.place == where::argument_decode && in_worker()) strike(b.method);
    if (b.place == where::result_decode && !in_worker()) strike(b.method);
    return b;
  }
};

namespace {

bomb carry(bomb b) {
  if (b.place == where::run) strike(b.method);
  return b;
}

std::string expected_text(how h, pid_t pid, bool core_dumped) {
  const int signal = expected_signal(h);
  return "worker " + std::to_string(pid) + (signal == 0 ? " " : " was ") + expected_cause(h) +
         (core_dumped ? ", core dumped," : "") + " while it ran task 'bomb'" +
         (signal == 0         ? "; a task must return or throw, not exit"
          : signal == SIGKILL ? "; if no process sent it, the machine ran out of memory: use fewer "
                                "workers or smaller tasks"
                              : "");
}

class crash_matrix_test : public pool_test {
 protected:
  // The future of a struck task resolves with what happened.
  static void expect_outcome(future<bomb> f, how h) {
    if (h == how::hang) {
      ASSERT_TRUE(eventually([&] { return f.running(); }));
      EXPECT_TRUE(f.cancel(cancel_mode::kill_running));
      expect_message<cancelled_error>(f,
                                      "the task was cancelled while it ran: its worker was killed");
    } else if (h == how::throw_) {
      expect_message<std::out_of_range>(f, "struck");
    } else if (h == how::throw_int) {
      expect_message<remote_error>(f,
                                   "an exception of type int (to catch it as that "
                                   "type, register it with PROCPOOL_EXCEPTION(int))");
    } else {
      try {
        f.get_for(duration(20));
        ADD_FAILURE() << "the task came back";
      } catch (const worker_crashed& e) {
        EXPECT_EQ(e.signal(), expected_signal(h)) << e.what();
        EXPECT_EQ(e.exit_code(), expected_exit_code(h)) << e.what();
        EXPECT_EQ(e.label(), "bomb");
        EXPECT_GT(e.pid(), 0);
        EXPECT_EQ(e.what(), expected_text(h, e.pid(), e.core_dumped()));
      }
    }
  }

 private:
  template <class E>
  static void expect_message(future<bomb>& f, const char* whole) {
    try {
      f.get_for(duration(20));
      ADD_FAILURE() << "the task came back";
    } catch (const E& e) {
      EXPECT_STREQ(e.what(), whole);
    }
  }
};
PROCPOOL_FOR_EACH_START_METHOD(crash_matrix_test);

class crash_at_test : public crash_matrix_test {
 protected:
  void strike_everywhere(where place) {
    process_pool_executor pool(options());
    for (const how h : all_hows) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
      if (h == how::stack_overflow) continue;  // the sanitizer reports it and exits
#endif
      SCOPED_TRACE(static_cast<int>(h));
      future<bomb> before = pool.submit(carry, bomb{});
      future<bomb> struck = pool.submit({.label = "bomb"}, carry, bomb{place, h});
      future<bomb> after = pool.submit(carry, bomb{});
      expect_outcome(std::move(struck), h);
      EXPECT_NO_THROW(before.get_for(duration(20)));
      EXPECT_NO_THROW(after.get_for(duration(20)));
    }
  }
};
PROCPOOL_FOR_EACH_START_METHOD(crash_at_test);

TEST_P(crash_at_test, arguments_are_decoded) { strike_everywhere(where::argument_decode); }
TEST_P(crash_at_test, the_task_runs) { strike_everywhere(where::run); }
TEST_P(crash_at_test, the_result_is_encoded) { strike_everywhere(where::result_encode); }

TEST_P(crash_matrix_test, arguments_that_cannot_be_encoded_fail_at_submit) {
  process_pool_executor pool(options());
  future<bomb> neighbour = pool.submit(carry, bomb{});
  const bomb throws{where::argument_encode, how::throw_};
  const bomb throws_int{where::argument_encode, how::throw_int};
  EXPECT_THROW((void)pool.submit(carry, throws), std::out_of_range);
  EXPECT_THROW((void)pool.submit(carry, throws_int), int);
  EXPECT_THROW((void)pool.try_submit(carry, throws), std::out_of_range);
  EXPECT_THROW((void)pool.submit(partial(carry, throws)), std::out_of_range);
  EXPECT_THROW((void)pool.map(carry, {throws, bomb{}}), std::out_of_range);
  EXPECT_THROW((void)pool.map([](const bomb&, int) { return 0; }, std::vector{throws_int, bomb{}},
                              std::vector{1, 2}),
               int);
  EXPECT_THROW(pool.for_each(carry, {bomb{}, throws}), std::out_of_range);
  EXPECT_NO_THROW(neighbour.get());
  EXPECT_NO_THROW(pool.submit(carry, bomb{}).get());
  EXPECT_EQ(pool.stats().pending + pool.stats().running + pool.stats().failed, 0U);
}

TEST_P(crash_matrix_test, a_result_that_cannot_be_decoded_concerns_its_future_alone) {
  process_pool_executor pool(options());
  future<bomb> struck = pool.submit(carry, bomb{where::result_decode, how::throw_});
  future<bomb> neighbour = pool.submit(carry, bomb{});
  EXPECT_THROW(struck.get(), std::out_of_range);
  EXPECT_NO_THROW(neighbour.get());
  EXPECT_NO_THROW(pool.submit(carry, bomb{}).get());
}

}  // namespace
