// A task does not capture: its data are arguments.
#include <functional>

#include "procpool/procpool.hpp"

using namespace procpool;

int scale(int factor, int value) { return factor * value; }

void use(process_pool_executor& pool, int factor) {
#if !MISTAKE
  (void)pool.submit([](int value) { return value; }, 1);
  (void)pool.submit([=](int value) { return value; }, 1);  // captures nothing
  (void)pool.submit(partial(scale, factor), 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables (lambdas with captures, std::function and
  // error: pass data as arguments or use procpool::partial
  (void)pool.submit([factor](int value) { return factor * value; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pool.submit([&](int value) { return factor * value; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pool.try_submit({}, [factor](int value) { return factor * value; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  pool.for_each([factor](int value) { scale(factor, value); }, {1, 2});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pool.submit(std::function<int(int)>([](int value) { return value; }), 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pool.submit(std::bind(scale, factor, std::placeholders::_1), 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a lambda with captures cannot be sent to another process: pass data as
  (void)pool.submit(partial([factor](int value) { return factor * value; }, 1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  pool_options{.initializer = [factor] { scale(factor, 1); }};
#endif
}
