// Calls to threads, which may capture and take what cannot travel, and executors of any kind, which
// may not.
#include <memory>
#include <mutex>

#include "procpool/procpool.hpp"

using namespace procpool;

struct length {};
struct weight {};

int measure(length);
void fill(length&);
void print(int);
int twice(int);
double twice(double);
int* find(int);

void use(thread_pool_executor& pool, any_executor any, std::vector<int>& numbers, std::mutex& m) {
#if !MISTAKE
  (void)pool.submit(measure, length{});
  (void)pool.submit([&numbers](int x) { return numbers.data() + x; }, 1);
  (void)pool.submit([](std::mutex& held) { held.lock(); }, std::ref(m));
  (void)pool.map(find, numbers);
  (void)any.submit([](int x) { return twice(x); }, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments; named here are the
  // error: thread_call_does_not_fit<int (*)(length), procpool::detail::type_list<length>,
  // error: procpool::detail::type_list<weight> >
  // never: no matching
  (void)pool.submit(measure, weight{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments
  (void)pool.submit(measure);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments
  // error: as rvalues
  length l;
  (void)pool.submit(fill, l);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments
  // never: no matching
  (void)pool.map(measure, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the function cannot be called with these arguments
  // error: in a map to a function that is const
  (void)pool.map([sum = 0](int x) mutable { return sum += x; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing, so map has no results: use for_each
  // never: no matching
  (void)pool.map(print, numbers);
#endif
#if MISTAKE == __LINE__
  // error: no matching
  // error: overloaded_function_name_wrap_it_in_a_captureless_lambda
  (void)pool.submit(twice, 1);
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  pool.submit(measure, length{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  (void)any.submit([&numbers] { return numbers.size(); });
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  (void)any.submit(find, 1);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  (void)any.map(find, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the value of a future is no reference
  promise<int&> p;
#endif
}
