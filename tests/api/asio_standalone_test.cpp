// Standalone Asio, and what is newer than Boost 1.74: cancellation and deferred operations.
#include "procpool/asio.hpp"

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/experimental/deferred.hpp>
#include <future>
#include <string>

#include "support/asio_threads.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

int echo(int x) { return x; }

// The name of what the operation completed with.
std::string name_of_error(const std::exception_ptr& e) {
  if (!e) return "none";
  try {
    std::rethrow_exception(e);
  } catch (const cancelled_error&) {
    return "cancelled";
  } catch (const std::exception& other) {
    return other.what();
  }
}

class asio_standalone_test : public pool_test {
 protected:
  // Cancels an operation with `type` when its task runs, or (pending) when another one does.
  std::string cancelled_by(asio::cancellation_type type, bool pending) {
    process_pool_executor pool(options(1));
    tally arrived, gate;
    asio::io_context context;
    asio::cancellation_signal signal;
    future<int> before;
    if (pending) before = pool.submit(arrive_and_wait, arrived.path(), gate.path(), 0);
    std::string seen = "never";
    async(pool.submit(arrive_and_wait, arrived.path(), gate.path(), 1),
          asio::bind_cancellation_slot(signal.slot(),
                                       asio::bind_executor(context, [&](std::exception_ptr e, int) {
                                         seen = name_of_error(e);
                                       })));
    EXPECT_TRUE(eventually([&] { return arrived.count() == 1; }));
    signal.emit(type);
    if (type != asio::cancellation_type::terminal) gate.add();
    context.run();
    signal.emit(type);  // no operation listens any more
    gate.add();
    return seen;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(asio_standalone_test);

TEST_P(asio_standalone_test, total_and_partial_cancellation_end_tasks_that_have_not_started) {
  EXPECT_EQ(cancelled_by(asio::cancellation_type::total, true), "cancelled");
  EXPECT_EQ(cancelled_by(asio::cancellation_type::partial, true), "cancelled");
  EXPECT_EQ(cancelled_by(asio::cancellation_type::total, false), "none");
}

TEST_P(asio_standalone_test, terminal_kills) {
  EXPECT_EQ(cancelled_by(asio::cancellation_type::terminal, false), "cancelled");
}

TEST_P(asio_standalone_test, the_first_of_two_operations_cancels_the_other) {
  using namespace asio::experimental::awaitable_operators;
  process_pool_executor pool(options(1));
  tally arrived, gate;
  asio::io_context context(1);
  future<int> endless = pool.submit(arrive_and_wait, arrived.path(), gate.path(), 1);
  const auto race = [&]() -> asio::awaitable<std::size_t> {
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(20));
    const auto first = co_await (async(std::move(endless), asio::use_awaitable) ||
                                 timer.async_wait(asio::use_awaitable));
    co_return first.index();
  };
  std::future<std::size_t> index = asio::co_spawn(context, race(), asio::use_future);
  context.run();
  EXPECT_EQ(index.get(), 1U);
  EXPECT_EQ(pool.submit(echo, 2).get(), 2) << "the worker was killed and replaced";
}

TEST_P(asio_standalone_test, as_tuple) {
  process_pool_executor pool(options(1));
  asio::io_context context(1);
  const auto talk = [&]() -> asio::awaitable<std::string> {
    constexpr auto token = asio::experimental::as_tuple(asio::use_awaitable);
    future<int> first = pool.submit(echo, 3);
    const auto [error, x] = co_await async(std::move(first), token);
    future<int> second = pool.submit([]() -> int { throw std::out_of_range("x"); });
    const auto [other, none] = co_await async(std::move(second), token);
    co_return name_of_error(error) + " " + std::to_string(x) + " " + name_of_error(other);
  };
  std::future<std::string> seen = asio::co_spawn(context, talk(), asio::use_future);
  context.run();
  EXPECT_EQ(seen.get(), "none 3 x");
}

TEST_P(asio_standalone_test, deferred) {
  process_pool_executor pool(options(1));
  start_system_context(pool, [] { return asio::post(asio::system_executor(), asio::use_future); });
  auto later = async(pool.submit(echo, 3), asio::experimental::deferred);
  EXPECT_EQ(std::move(later)(asio::use_future).get(), 3);
}

}  // namespace
