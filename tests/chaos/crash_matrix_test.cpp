// Every way in which a task can go wrong, at every place where it can: {arguments decoded, run,
// result encoded} x {signals, exits, exceptions, hangs}, and the places where the parent or the
// initializer is concerned. In each cell the error says what happened, and the pool goes on: the
// next task succeeds, and at the end nothing is left.
#include <csignal>
#include <cstdlib>

#include <unistd.h>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

enum class how {
  segv,
  kill,
  term,
  abort_,
  terminate,
  stack_overflow,
  exit_,
  underscore_exit,
  quick_exit_,
  throw_,
  throw_int,
  hang
};
enum class where { nowhere, argument_encode, argument_decode, run, result_encode, result_decode };

constexpr how all_hows[] = {
    how::segv,        how::kill,           how::term,      how::abort_,
    how::terminate,   how::stack_overflow, how::exit_,     how::underscore_exit,
    how::quick_exit_, how::throw_,         how::throw_int, how::hang};

int overflow_the_stack(volatile char* below) {
  volatile char page[4096];
  page[0] = below == nullptr ? '\0' : below[0];
  if (page[0] == 'x') return 0;  // never, but the compiler does not know
  return overflow_the_stack(page) + page[0];
}

void strike(how h) {
  switch (h) {
    case how::segv:
      signal(SIGSEGV, SIG_DFL);  // a sanitizer's own handler would turn it into an exit
      raise(SIGSEGV);
      break;
    case how::kill:
      raise(SIGKILL);
      break;
    case how::term:
      raise(SIGTERM);
      break;
    case how::abort_:
      signal(SIGABRT, SIG_DFL);
      std::abort();
    case how::terminate:
      signal(SIGABRT, SIG_DFL);
      std::terminate();
    case how::stack_overflow:
      signal(SIGSEGV, SIG_DFL);
      std::exit(overflow_the_stack(nullptr));
    case how::exit_:
      std::exit(3);
    case how::underscore_exit:
      ::_exit(4);
    case how::quick_exit_:
      std::quick_exit(5);
    case how::throw_:
      throw std::out_of_range("struck");
    case how::throw_int:
      throw 42;
    case how::hang:
      for (;;) pause();
  }
}

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

int expected_signal(how h) {
  switch (h) {
    case how::segv:
    case how::stack_overflow:
      return SIGSEGV;
    case how::kill:
      return SIGKILL;
    case how::term:
      return SIGTERM;
    case how::abort_:
    case how::terminate:
      return SIGABRT;
    default:
      return 0;
  }
}

int expected_exit_code(how h) {
  switch (h) {
    case how::exit_:
      return 3;
    case how::underscore_exit:
      return 4;
    case how::quick_exit_:
      return 5;
    default:
      return 0;
  }
}

std::string expected_text(how h, pid_t pid, bool core_dumped) {
  const int signal = expected_signal(h);
  const std::string worker = "worker " + std::to_string(pid);
  if (signal == 0) {
    return worker + " left with exit code " + std::to_string(expected_exit_code(h)) +
           " while it ran task 'bomb'; a task must return or throw, not exit";
  }
  const std::string name = signal == SIGSEGV   ? "11 (SIGSEGV)"
                           : signal == SIGKILL ? "9 (SIGKILL)"
                           : signal == SIGTERM ? "15 (SIGTERM)"
                                               : "6 (SIGABRT)";
  return worker + " was ended by signal " + name + (core_dumped ? ", core dumped," : "") +
         " while it ran task 'bomb'" +
         (signal == SIGKILL ? "; if nobody sent it, the machine ran out of memory: use fewer "
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
      expect_message<remote_error>(f, "an exception of type int");
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
  EXPECT_THROW((void)pool.submit(carry, bomb{where::argument_encode, how::throw_}),
               std::out_of_range);
  EXPECT_THROW((void)pool.submit(carry, bomb{where::argument_encode, how::throw_int}), int);
  EXPECT_NO_THROW(pool.submit(carry, bomb{}).get());
}

TEST_P(crash_matrix_test, a_result_that_cannot_be_decoded_concerns_its_future_alone) {
  process_pool_executor pool(options());
  future<bomb> struck = pool.submit(carry, bomb{where::result_decode, how::throw_});
  future<bomb> neighbour = pool.submit(carry, bomb{});
  EXPECT_THROW(struck.get(), std::out_of_range);
  EXPECT_NO_THROW(neighbour.get());
  EXPECT_NO_THROW(pool.submit(carry, bomb{}).get());
}

TEST_P(crash_matrix_test, a_worker_that_dies_between_tasks_is_replaced_without_a_trace) {
  process_pool_executor pool(options());
  for (int round = 0; round < 5; ++round) {
    pool.submit(carry, bomb{}).get();
    pid_t victim = 0;
    ASSERT_TRUE(eventually([&] {
      for (const worker_stats& w : pool.stats().workers) {
        if (w.state == worker_state::idle) victim = w.pid;
      }
      return victim != 0;
    }));
    ASSERT_EQ(kill(victim, SIGKILL), 0);
    EXPECT_NO_THROW(pool.submit(carry, bomb{}).get_for(duration(20)));
    ASSERT_TRUE(eventually([&] {
      for (const worker_stats& w : pool.stats().workers) {
        if (w.pid == victim || w.pid == 0) return false;
      }
      return true;
    }));
  }
}

void initialize(how h) { strike(h); }

TEST_P(crash_matrix_test, an_initializer_that_fails_breaks_the_pool_and_says_why) {
  for (const how h : {how::segv, how::kill, how::exit_, how::underscore_exit, how::throw_}) {
    SCOPED_TRACE(static_cast<int>(h));
    process_pool_executor pool(
        {.max_workers = 2, .start = method(), .initializer = partial(initialize, h)});
    std::vector<future<bomb>> futures;
    try {
      for (int i = 0; i < 10; ++i) futures.push_back(pool.submit(carry, bomb{}));
    } catch (const broken_process_pool&) {
      // as good as later
    }
    for (future<bomb>& f : futures) {
      try {
        f.get_for(duration(20));
        ADD_FAILURE() << "a task ran without its initializer";
      } catch (const broken_process_pool& e) {
        const std::string what = e.what();
        EXPECT_NE(what.find(h == how::throw_ ? "struck" : "initializer"), std::string::npos)
            << what;
      }
    }
    EXPECT_THROW((void)pool.submit(carry, bomb{}), broken_process_pool);
  }
}

TEST_P(crash_matrix_test, an_initializer_that_hangs_can_be_killed) {
  process_pool_executor pool(
      {.max_workers = 1, .start = method(), .initializer = partial(initialize, how::hang)});
  future<bomb> f = pool.submit(carry, bomb{});
  EXPECT_THROW(f.get_for(duration(0.1)), timeout_error);
  pool.kill_workers();
  EXPECT_THROW(f.get_for(duration(20)), cancelled_error);
}

}  // namespace
