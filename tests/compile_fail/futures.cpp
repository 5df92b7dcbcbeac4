// Futures, and what waits for them.
#include "procpool/procpool.hpp"

using namespace procpool;

int twice(int);
std::vector<future<int>> started();

void use(process_pool_executor& pool, std::vector<future<int>>& futures, future<int>& f) {
#if !MISTAKE
  (void)wait(futures);
  (void)as_completed(started());
  f.on_done([](const future<int>&) {});
  std::move(f).then([](future<int>) {});
  std::move(f).then([](int) {});
  f.share().then([](const int&) {});
#endif
#if MISTAKE == __LINE__
  // error: procpool: the result of wait refers to the futures, so they cannot be in a temporary:
  // error: keep the container in a variable
  (void)wait(started());
#endif
#if MISTAKE == __LINE__
  // error: procpool: the result of wait refers to the futures
  (void)wait(std::move(futures), {.until = return_when::first_completed});
#endif
#if MISTAKE == __LINE__
  // error: on_done needs a callback that can be called with const future<T>&
  f.on_done([](future<int>) {});
#endif
#if MISTAKE == __LINE__
  // error: on_done needs a callback that can be called with const future<T>&
  f.on_done([] {});
#endif
#if MISTAKE == __LINE__
  // error: then needs a callback that can be called with future<T>
  std::move(f).then([](future<int>&) {});
#endif
#if MISTAKE == __LINE__
  // error: then needs a callback that can be called with future<T>, or with its value
  std::move(f).then([](const std::string&) {});
#endif
#if MISTAKE == __LINE__
  // error: then needs a callback that can be called with shared_future<T>, or with its value
  f.share().then([](const std::string&) { return 1; });
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  std::move(f).then([](int x) { return x; });
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  pool.submit(twice, 1);
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  as_completed(futures);
#endif
}
