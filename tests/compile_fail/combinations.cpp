// Futures of futures: what consumes its inputs gets no future that the caller keeps.
#include "procpool/procpool.hpp"

using namespace procpool;
using namespace std::chrono_literals;

std::vector<future<int>> started();

void use(future<int>& f, std::vector<future<int>>& futures,
         const std::vector<shared_future<int>>& shared) {
#if !MISTAKE
  (void)when_all(std::move(f), f.share());
  (void)when_all(started());
  (void)when_all(shared);
  (void)when_any(std::move(f));
  (void)when_any(std::move(futures));
  (void)with_timeout(std::move(f), 1s, cancel_mode::kill_running);
#endif
#if MISTAKE == __LINE__
  // error: procpool: when_all consumes its futures: give it std::move(f), or f.share()
  (void)when_all(f, std::move(f));
#endif
#if MISTAKE == __LINE__
  // error: procpool: when_any consumes its futures: give it std::move(f), or f.share()
  (void)when_any(f);
#endif
#if MISTAKE == __LINE__
  // error: procpool: when_all and when_any consume their futures: give them std::move(container)
  (void)when_all(futures);
#endif
#if MISTAKE == __LINE__
  // error: procpool: when_all and when_any consume their futures: give them std::move(container)
  (void)when_any(futures);
#endif
#if MISTAKE == __LINE__
  // error: procpool: with_timeout consumes its future: give it std::move(f), or f.share()
  (void)with_timeout(f, 1s);
#endif
#if MISTAKE == __LINE__
  // error: no matching function for call to
  (void)when_any();
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  when_all(started());
#endif
}
