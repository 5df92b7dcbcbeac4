// Futures as operations of Boost.Asio: each completion token, where it completes, and what keeps
// run() from returning. asio_standalone_test.cpp has what Boost 1.74 lacks.
#include "procpool/asio.hpp"

#include <boost/asio.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "support/asio_threads.hpp"
#include "support/background.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

namespace asio = boost::asio;
using namespace procpool;
using namespace procpool::testing;

int echo(int x) { return x; }
void nothing() {}
int fail() { throw std::out_of_range("thrown in the task"); }
int die() { std::_Exit(3); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}

struct no_default {
  explicit no_default(int v) : value(v) {}
  int value;
};

}  // namespace

template <>
struct procpool::codec<no_default> {
  static int to_wire(const no_default& x) { return x.value; }
  static no_default from_wire(int x) { return no_default(x); }
};

namespace {

class asio_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(asio_test);

TEST_P(asio_test, use_awaitable) {
  process_pool_executor pool(options(1));
  asio::io_context context(1);
  const auto talk = [&]() -> asio::awaitable<std::string> {
    const std::thread::id here = std::this_thread::get_id();
    const int x = co_await async(pool.submit(echo, 20), asio::use_awaitable);
    future<void> second = pool.submit(nothing);
    co_await async(std::move(second), asio::use_awaitable);
    std::string seen = std::to_string(x);
    if (std::this_thread::get_id() == here) seen += ", here";
    try {
      future<int> third = pool.submit(fail);
      co_await async(std::move(third), asio::use_awaitable);
    } catch (const std::out_of_range& e) {
      seen += std::string(", ") + e.what();
    }
    try {
      future<int> fourth = pool.submit(die);
      co_await async(std::move(fourth), asio::use_awaitable);
    } catch (const worker_crashed& e) {
      seen += ", exit code " + std::to_string(e.exit_code());
    }
    co_return seen;
  };
  std::future<std::string> seen = asio::co_spawn(context, talk(), asio::use_future);
  context.run();
  EXPECT_EQ(seen.get(), "20, here, thrown in the task, exit code 3");
}

TEST_P(asio_test, a_callback_runs_on_its_executor_and_never_at_once) {
  process_pool_executor pool(options(1));
  asio::io_context context;
  future<int> done = pool.submit(echo, 5);
  done.wait();
  std::thread::id where;
  int value = 0;
  bool returned = false;
  asio::post(context, [&] {
    async(std::move(done), asio::bind_executor(context, [&](std::exception_ptr e, int x) {
            EXPECT_TRUE(returned);
            EXPECT_EQ(e, nullptr);
            value = x;
            where = std::this_thread::get_id();
          }));
    returned = true;
  });
  context.run();
  EXPECT_EQ(value, 5);
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST_P(asio_test, run_returns_only_when_the_task_is_done) {
  process_pool_executor pool(options(1));
  tally gate;
  asio::io_context context;
  int value = 0;
  async(pool.submit(wait_and_return, gate.path(), 7),
        asio::bind_executor(context, [&](std::exception_ptr, int x) { value = x; }));
  EXPECT_EQ(context.poll(), 0U);
  EXPECT_FALSE(context.stopped()) << "there is work outstanding";
  gate.add();
  EXPECT_EQ(context.run(), 1U);
  EXPECT_EQ(value, 7);
}

TEST_P(asio_test, a_callback_without_an_executor_runs_on_the_callback_thread) {
  process_pool_executor pool(options(1));
  std::promise<std::thread::id> where, callbacks;
  async(pool.submit(nothing),
        [&](std::exception_ptr) { where.set_value(std::this_thread::get_id()); });
  pool.submit(nothing).then([&](future<void>) { callbacks.set_value(std::this_thread::get_id()); });
  EXPECT_EQ(where.get_future().get(), callbacks.get_future().get());
}

TEST_P(asio_test, a_context_that_ends_before_the_task) {
  process_pool_executor pool(options(1));
  tally gate;
  bool called = false;
  {
    asio::io_context context;
    async(pool.submit(echo, 1),
          asio::bind_executor(context, [&](std::exception_ptr, int) { called = true; }));
    // The callback after it says that the completion is in the context's queue.
    std::promise<void> later;
    pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
    later.get_future().get();
  }
  EXPECT_FALSE(called);
}

TEST_P(asio_test, a_context_that_ends_destroys_the_handlers) {
  process_pool_executor pool(options(1));
  tally gate;
  auto owned = std::make_shared<int>(1);
  bool called = false;
  {
    asio::io_context context;
    async(pool.submit(wait_and_return, gate.path(), 1),
          asio::bind_executor(context, [&, owned](std::exception_ptr, int) { called = true; }));
    EXPECT_EQ(owned.use_count(), 2);
  }
  EXPECT_EQ(owned.use_count(), 1);
  gate.add();
  // The callback after it: that of the operation has run.
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  EXPECT_FALSE(called);
}

TEST_P(asio_test, detached) {
  process_pool_executor pool(options(1));
  tally seen;
  async(pool.submit(add_to_tally, seen.path()), asio::detached);
  pool.shutdown();
  EXPECT_EQ(seen.count(), 1);
}

// Handlers of a strand run one after the other, whichever thread runs the context.
TEST_P(asio_test, a_strand_in_several_threads) {
  constexpr int many = 200;
  process_pool_executor pool(options(2));
  asio::thread_pool context(4);
  const auto strand = asio::make_strand(context);
  int inside = 0, done = 0, sum = 0;  // without a lock
  for (int i = 0; i < many; ++i) {
    async(pool.submit(echo, 1), asio::bind_executor(strand, [&](const std::exception_ptr&, int x) {
            EXPECT_EQ(++inside, 1);
            sum += x;
            ++done;
            --inside;
          }));
  }
  context.join();
  EXPECT_EQ(done, many);
  EXPECT_EQ(sum, many);
}

// Counts what is taken from it.
template <class T>
struct counting_allocator {
  using value_type = T;
  explicit counting_allocator(int& c) : count(&c) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : count(other.count) {}
  T* allocate(std::size_t n) {
    ++*count;
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --*count;
    std::allocator<T>().deallocate(p, n);
  }
  bool operator==(const counting_allocator&) const = default;
  int* count;
};
struct with_allocator {
  using allocator_type = counting_allocator<char>;
  using executor_type = asio::io_context::executor_type;
  allocator_type get_allocator() const { return allocator_type(*count); }
  executor_type get_executor() const { return executor; }
  void operator()(const std::exception_ptr& /*error*/, int x) const { *value = x + *count; }
  executor_type executor;
  int* count;
  int* value;
};

TEST_P(asio_test, the_handlers_allocator) {
  process_pool_executor pool(options(1));
  asio::io_context context;
  int count = 0, value = -1;
  async(pool.submit(echo, 5), with_allocator{context.get_executor(), &count, &value});
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  EXPECT_EQ(count, 1) << "what lies in the context's queue";
  context.run();
  EXPECT_EQ(count, 0);
  EXPECT_EQ(value, 5) << "it is free when the handler runs";
}

// A thread starts an operation while the context ends: its handler is destroyed, too.
TEST_P(asio_test, an_operation_that_begins_while_the_context_ends) {
  process_pool_executor pool(options(1));
  tally gate;
  auto owned = std::make_shared<int>(1);
  {
    asio::io_context context;
    const auto begin_another = [&, executor = context.get_executor(), owned](int*) mutable {
      async(pool.submit(echo, 2), asio::bind_executor(executor, [owned](auto...) {}));
    };
    std::shared_ptr<int> at_the_end(nullptr, begin_another);
    async(pool.submit(wait_and_return, gate.path(), 1),
          asio::bind_executor(context, [last = std::move(at_the_end)](auto...) {}));
  }
  EXPECT_EQ(owned.use_count(), 1);
  gate.add();
}

background<std::thread::id> goes_on_in(asio::io_context& context, future<int> f) {
  co_await via(context, std::move(f));
  co_return std::this_thread::get_id();
}
background<std::thread::id> goes_on_upon(asio::io_context::executor_type executor, future<int> f) {
  co_await via(executor, std::move(f));
  co_return std::this_thread::get_id();
}

TEST_P(asio_test, via_a_context_and_its_executor) {
  process_pool_executor pool(options(1));
  asio::io_context context;
  tally gate;
  auto first = goes_on_in(context, pool.submit(wait_and_return, gate.path(), 1));
  auto second = goes_on_upon(context.get_executor(), pool.submit(echo, 1));
  EXPECT_FALSE(context.stopped());
  gate.add();
  std::thread runner([&] { context.run(); });
  const std::thread::id there = runner.get_id();
  EXPECT_EQ(first.result.get(), there);
  EXPECT_EQ(second.result.get(), there);
  runner.join();
}

TEST_P(asio_test, via_a_context_that_is_gone_throws) {
  process_pool_executor pool(options(1));
  tally gate;
  std::optional<asio::io_context> context(std::in_place);
  auto waits = goes_on_in(*context, pool.submit(wait_and_return, gate.path(), 1));
  context.reset();
  gate.add();
  EXPECT_THROW(waits.result.get(), cancelled_error);
}

TEST_P(asio_test, via_a_context_that_ends_with_the_coroutine_in_its_queue) {
  process_pool_executor pool(options(1));
  std::optional<asio::io_context> context(std::in_place);
  auto waits = goes_on_in(*context, pool.submit(echo, 1));
  std::promise<void> later;
  pool.submit(echo, 2).then([&](future<int>) { later.set_value(); });
  later.get_future().get();
  context.reset();
  EXPECT_THROW(waits.result.get(), cancelled_error);
}

TEST_P(asio_test, a_future_without_a_task) {
  EXPECT_THROW(async(future<int>(), asio::use_future), invalid_state_error);
}

// The last test: Asio keeps the threads that it starts here, and then no pool can be forked.
TEST_P(asio_test, use_future) {
  process_pool_executor pool(options(1));
  start_system_context(pool, [] { return asio::post(asio::system_executor(), asio::use_future); });
  EXPECT_EQ(async(pool.submit(echo, 3), asio::use_future).get(), 3);
  async(pool.submit(nothing), asio::use_future).get();
  std::future<int> failed = async(pool.submit(fail), asio::use_future);
  EXPECT_THROW(failed.get(), std::out_of_range);
  // Results that can only be moved, and those without a default.
  const auto make = [](int x) { return std::make_unique<int>(x); };
  EXPECT_EQ(*async(pool.submit(make, 3), asio::use_future).get(), 3);
  const auto wrap = [](int x) { return no_default(x); };
  std::optional<no_default> wrapped = async(pool.submit(wrap, 4), asio::use_future).get();
  EXPECT_EQ(wrapped.value().value, 4);
}

}  // namespace
