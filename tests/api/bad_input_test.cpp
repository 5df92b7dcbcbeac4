// Each error that the documentation promises, with its message.
#include <unistd.h>

#include <limits>
#include <ranges>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace bad_input_types {

// Says no to some values, on one side or the other.
struct picky {
  std::string says;
};

}  // namespace bad_input_types

template <>
struct procpool::codec<bad_input_types::picky> {
  static std::string to_wire(const bad_input_types::picky& p) {
    if (p.says == "throws in to_wire") throw std::domain_error("to_wire refuses");
    if (p.says == "throws in to_wire of the worker" && this_worker::index()) {
      throw std::domain_error("to_wire refuses there");
    }
    return p.says;
  }
  static bad_input_types::picky from_wire(std::string s) {
    if (s == "throws in the worker" && this_worker::index()) {
      throw codec_error("from_wire refuses there");
    }
    if (s == "throws in the parent" && !this_worker::index()) {
      throw codec_error("from_wire refuses here");
    }
    if (s == "dies in the worker" && this_worker::index()) std::_Exit(9);
    return {std::move(s)};
  }
};

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using bad_input_types::picky;

int echo(int x) { return x; }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}
picky echo_picky(const picky& p) { return p; }

// Runs `f`, which must throw an E whose message has `part` in it.
template <class E, class F>
void expect_error(const std::string& part, F f) {
  try {
    f();
    ADD_FAILURE() << "must throw: " << part;
  } catch (const E& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}
// The same with the message as a whole.
template <class E, class F>
void expect_message(const std::string& whole, F f) {
  try {
    f();
    ADD_FAILURE() << "must throw: " << whole;
  } catch (const E& e) {
    EXPECT_EQ(e.what(), whole);
  }
}

class bad_input_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(bad_input_test);

TEST_P(bad_input_test, options_out_of_range) {
  for (const int n : {0, -1, 4097, std::numeric_limits<int>::min()}) {
    expect_error<std::invalid_argument>(
        "max_workers must be between 1 and 4096, not " + std::to_string(n),
        [&] { process_pool_executor pool(options(n)); });
  }
  expect_error<std::invalid_argument>("max_workers", [] { process_pool_executor pool(0); });
  expect_error<std::invalid_argument>("max_tasks_per_child must be at least 1, not 0", [&] {
    process_pool_executor pool(pool_options{.start = method(), .max_tasks_per_child = 0});
  });
  expect_error<std::invalid_argument>("max_pending_bytes", [&] {
    process_pool_executor pool(pool_options{.start = method(), .max_pending_bytes = 0});
  });
  process_pool_executor pool(options(1));
  expect_error<std::invalid_argument>("retries must be at least 0",
                                      [&] { (void)pool.submit({.retries = -1}, echo, 1); });
  expect_error<std::invalid_argument>("retries must be at least 0",
                                      [&] { (void)pool.try_submit({.retries = -1}, echo, 1); });
  expect_error<std::invalid_argument>("chunksize must be at least 1",
                                      [&] { (void)pool.map({.chunksize = 0}, echo, {1}); });
  expect_error<std::invalid_argument>("buffersize must be at least 1", [&] {
    pool.for_each({.buffersize = 0}, echo, std::vector<int>{1});
  });
  expect_error<std::invalid_argument>(
      "retries", [&] { (void)pool.map({.task = {.retries = -1}}, echo, {1}).to_vector(); });
  EXPECT_EQ(pool.submit(echo, 1).get(), 1) << "the pool is none the worse for it";
}

TEST_P(bad_input_test, futures_without_a_task) {
  process_pool_executor pool(options(1));
  future<int> f = pool.submit(echo, 1);
  EXPECT_EQ(f.get(), 1);
  EXPECT_FALSE(f.valid());
  const auto none = [&](auto g) { expect_error<invalid_state_error>("holds no task", g); };
  none([&] { f.get(); });
  none([&] { f.get_for(1s); });
  none([&] { f.wait(); });
  none([&] { (void)f.wait_for(0s); });
  none([&] { (void)f.exception(); });
  none([&] { (void)f.done(); });
  none([&] { (void)f.running(); });
  none([&] { (void)f.cancelled(); });
  none([&] { f.cancel(); });
  none([&] { f.on_done([](const future<int>&) {}); });
  none([&] { std::move(f).then([](future<int>) {}); });
  none([&] { std::move(f).detach(); });
  none([&] { (void)shared_future<int>().get(); });
  std::vector<future<int>> fs(1);
  none([&] { (void)wait(fs); });
  none([&] { (void)as_completed(fs); });
  future<int> failed = pool.submit([]() -> int { throw std::out_of_range("x"); });
  EXPECT_THROW(failed.get(), std::out_of_range);
  EXPECT_FALSE(failed.valid()) << "an error consumes as well";
}

TEST_P(bad_input_test, a_timeout_keeps_the_future) {
  process_pool_executor pool(options(1));
  tally gate;
  future<int> f = pool.submit(wait_and_return, gate.path(), 1);
  for (const duration d : {duration(0s), duration(-5s), duration(1ms),
                           duration(std::numeric_limits<double>::quiet_NaN())}) {
    expect_error<timeout_error>("not done yet", [&] { f.get_for(d); });
    EXPECT_TRUE(f.valid());
  }
  expect_error<timeout_error>("", [&] { f.get_until(std::chrono::steady_clock::now() - 1h); });
  gate.add();
  EXPECT_EQ(f.get_for(duration(std::numeric_limits<double>::infinity())), 1);
}

TEST_P(bad_input_test, a_pool_after_shutdown) {
  process_pool_executor pool(options(1));
  pool.shutdown();
  pool.shutdown();
  const auto over = [&](auto g) { expect_error<shutdown_error>("shut down", g); };
  over([&] { (void)pool.submit(echo, 1); });
  over([&] { (void)pool.try_submit(echo, 1); });
  over([&] { (void)pool.map(echo, {1}); });
  over([&] { pool.for_each(echo, {1}); });
  pool.terminate_workers();
  pool.kill_workers();
  EXPECT_EQ(pool.max_workers(), 1);
  EXPECT_EQ(pool.stats().pending, 0U);
}

TEST_P(bad_input_test, a_pool_after_kill_workers) {
  process_pool_executor pool(options(1));
  tally gate;
  future<int> running = pool.submit(wait_and_return, gate.path(), 1);
  future<int> pending = pool.submit(echo, 2);
  pid_t worker = 0;
  EXPECT_TRUE(eventually([&] {
    worker = pool.stats().workers.at(0).pid;
    return running.running() && worker != 0;
  }));
  pool.kill_workers();
  expect_message<worker_crashed>(
      "worker " + std::to_string(worker) +
          " was ended by signal 9 (SIGKILL) with the whole pool (kill_workers, terminate_workers, "
          "shutdown's timeout) while it ran its task",
      [&] { running.get(); });
  expect_message<cancelled_error>("the task was cancelled before it finished",
                                  [&] { pending.get(); });
  EXPECT_THROW((void)pool.submit(echo, 1), shutdown_error);
}

// A static executor exists in workers, too.
process_pool_executor* shared_pool = nullptr;

// differs: CPython deadlocks, or not, depending on the start method.
TEST_P(bad_input_test, a_pool_used_inside_of_a_task) {
  process_pool_executor pool(options(1));
  // A pool that a task makes for itself is refused as well, at its first use.
  future<int> f = pool.submit(
      [](start_method m) {
        process_pool_executor inner(pool_options{.max_workers = 1, .start = m});
        return inner.submit(echo, 1).get();
      },
      method());
  expect_error<nested_use_error>(
      "can neither be made nor used inside a task (this one was made there", [&] { f.get(); });
  expect_error<nested_use_error>("", [&] {
    pool.submit([] {
          process_pool_executor inner(1);
          return inner.map(echo, {1, 2}).to_vector();
        })
        .get();
  });
  EXPECT_EQ(pool.submit(echo, 3).get(), 3);
}

// With fork, the parent's pool is in the worker's memory, and so are its futures.
TEST_P(bad_input_test, use_of_the_parents_pool_inside_of_a_task) {
  if (method() != start_method::fork) GTEST_SKIP() << "globals of the parent: only with fork";
  process_pool_executor outer(options(1));
  shared_pool = &outer;
  process_pool_executor pool(options(1));
  expect_error<nested_use_error>("executors cannot be used inside a task", [&] {
    pool.submit([] { return shared_pool->submit(echo, 1).get(); }).get();
  });
  shared_pool = nullptr;
}

// What a value's own code throws, at each of its four stations.
TEST_P(bad_input_test, values_that_cannot_travel) {
  process_pool_executor pool(options(2));
  // Encoding the argument: submit throws, and nothing was submitted.
  expect_error<std::domain_error>(
      "to_wire refuses", [&] { (void)pool.submit(echo_picky, picky{"throws in to_wire"}); });
  expect_error<std::domain_error>("to_wire refuses", [&] {
    (void)pool.submit([](const std::string&, const picky&) {}, std::string(100'000, 'x'),
                      picky{"throws in to_wire"});
  });
  EXPECT_EQ(pool.stats().pending + pool.stats().done, 0U);
  // Decoding it, encoding the result, decoding that: the future's business.
  future<picky> a = pool.submit(echo_picky, picky{"throws in the worker"});
  future<picky> b = pool.submit(echo_picky, picky{"throws in to_wire of the worker"});
  future<picky> c = pool.submit(echo_picky, picky{"throws in the parent"});
  // differs: a worker that dies over an argument is replaced; CPython's pool breaks.
  future<picky> d = pool.submit({.label = "dying"}, echo_picky, picky{"dies in the worker"});
  future<picky> fine = pool.submit(echo_picky, picky{"fine"});
  expect_error<codec_error>("from_wire refuses there", [&] { a.get(); });
  expect_error<std::domain_error>("to_wire refuses there", [&] { b.get(); });
  // differs: CPython's pool breaks when a result cannot be decoded.
  expect_error<codec_error>("from_wire refuses here", [&] { c.get(); });
  try {
    d.get();
    ADD_FAILURE() << "its worker has left";
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.what(), "worker " + std::to_string(e.pid()) +
                            " left with exit code 9 while it ran task 'dying'; a task must return "
                            "or throw, not exit");
  }
  EXPECT_EQ(fine.get().says, "fine");
}

TEST_P(bad_input_test, values_that_cannot_travel_in_a_map) {
  process_pool_executor pool(options(2));
  const std::vector<picky> in{{"fine"},
                              {"throws in the worker"},
                              {"throws in to_wire of the worker"},
                              {"throws in the parent"},
                              {"dies in the worker"},
                              {"also fine"}};
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{6}}) {
    std::string pattern;
    for (auto& o : pool.map({.chunksize = chunk}, echo_picky, in).outcomes()) {
      pattern += o ? '+' : '-';
    }
    EXPECT_EQ(pattern, "+----+");
  }
  // An item that cannot be encoded: what came before it is read first.
  const std::vector<picky> stuck{{"fine"}, {"fine"}, {"throws in to_wire"}, {"fine"}};
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{4}}) {
    auto results = pool.map({.chunksize = chunk}, echo_picky, stuck);
    std::size_t read = 0;
    expect_error<std::domain_error>("to_wire refuses", [&] {
      for ([[maybe_unused]] picky& p : results) ++read;
    });
    EXPECT_EQ(read, 2U);
    EXPECT_TRUE(results.begin() == results.end());
  }
}

TEST_P(bad_input_test, input_ranges_that_throw) {
  process_pool_executor pool(options(2));
  const auto input = std::views::iota(0) | std::views::transform([](int x) {
                       if (x == 5) throw std::length_error("the input ends badly");
                       return x;
                     });
  for (const std::optional<std::size_t> chunk : {std::optional<std::size_t>{}, {1}, {4}}) {
    auto results = pool.map({.chunksize = chunk}, echo, input);
    int read = 0;
    expect_error<std::length_error>("the input ends badly", [&] {
      for (int& r : results) EXPECT_EQ(r, read++);
    });
    EXPECT_EQ(read, 5);
    EXPECT_TRUE(results.begin() == results.end());
  }
  expect_error<std::length_error>("the input ends badly", [&] { pool.for_each(echo, input); });
  // At the very first element there is nothing to read: the call throws.
  const auto bad = std::views::iota(5) |
                   std::views::transform([](int) -> int { throw std::length_error("at once"); });
  expect_error<std::length_error>("at once", [&] { (void)pool.map(echo, bad); });
}

// The initializer fails: everything says so, with the initializer's own message.
TEST_P(bad_input_test, failing_initializer) {
  process_pool_executor pool(pool_options{
      .max_workers = 1, .start = method(), .initializer = invocation([] {
                                             throw std::runtime_error("no configuration file");
                                           })});
  EXPECT_TRUE(eventually([&] {
    try {
      pool.submit(echo, 1).get();
    } catch (const broken_process_pool& e) {
      return std::string(e.what()).find("no configuration file") != std::string::npos;
    }
    return false;
  }));
  expect_error<broken_process_pool>("no configuration file", [&] { (void)pool.submit(echo, 1); });
  expect_error<broken_process_pool>("no configuration file", [&] { (void)pool.map(echo, {1}); });
}

}  // namespace
