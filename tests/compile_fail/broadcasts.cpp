// broadcast takes what submit takes; where threads have copies, what can be copied.
#include <memory>

#include "procpool/procpool.hpp"

using namespace procpool;

struct word {};

int twice(int);
word* pointer();

void use(process_pool_executor& pool, thread_pool_executor& threads, any_executor any, int& x) {
#if !MISTAKE
  (void)pool.broadcast(twice, 1);
  (void)pool.broadcast([](std::unique_ptr<int>) {}, std::make_unique<int>(1));
  (void)threads.broadcast([&x](int by) { return x + by; }, 1);
  (void)any.broadcast(partial(twice, 1));
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  pool.broadcast(twice, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)pool.broadcast([&x] { return x; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)any.broadcast([&x] { return x; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<int>, procpool::detail::type_list<word> >
  // never: no matching
  // never: after_rendezvous
  (void)pool.broadcast(twice, word());
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // never: after_rendezvous
  (void)pool.broadcast(twice);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  (void)pool.broadcast([](int a) mutable { return ++a; }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  (void)pool.broadcast([](int* p) { return *p; }, &x);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  (void)pool.broadcast(pointer);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments
  // never: no matching
  (void)threads.broadcast(twice, word());
#endif
#if MISTAKE == __LINE__
  // error: procpool: in a broadcast each thread gets a function and arguments of its own, and this
  // error: std::unique_ptr<int>
  // never: use of deleted
  (void)threads.broadcast([](std::unique_ptr<int>) {}, std::make_unique<int>(1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: in a broadcast each thread gets a function and arguments of its own, and this
  // never: use of deleted
  (void)threads.broadcast([p = std::make_unique<int>(1)] { return *p; });
#endif
#if MISTAKE == __LINE__
  // error: procpool: in a broadcast each thread gets a function and arguments of its own, and this
  // never: use of deleted
  (void)any.broadcast([](std::unique_ptr<int>) {}, std::make_unique<int>(1));
#endif
}
