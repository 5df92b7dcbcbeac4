// The two functions of map_reduce.
#include "procpool/procpool.hpp"

using namespace procpool;

struct word {};

int twice(int);
void print(int);
int add(int, int);
int add_three(int, int, int);
std::string join(int, int);
word* find(int);

void use(process_pool_executor& pool, thread_pool_executor& threads,
         const std::vector<int>& numbers, int offset) {
#if !MISTAKE
  (void)pool.map_reduce(twice, add, numbers);
  (void)pool.map_reduce({.chunksize = 2}, twice, std::plus<>(), {1, 2});
  (void)threads.map_reduce([offset](int x) { return x + offset; },
                           [offset](int a, int b) { return a + b - offset; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: map_reduce needs a second function that makes one result of two: it is called
  // error: as combine(T, T), where T is what the first one returns, and returns a T
  // never: cannot be called with these arguments
  // never: no matching
  (void)pool.map_reduce(twice, add_three, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: map_reduce needs a second function that makes one result of two
  // never: no matching
  (void)pool.map_reduce(twice, join, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: map_reduce needs a second function that makes one result of two
  // never: no matching
  (void)threads.map_reduce(twice, add_three, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  // never: makes one result of two
  (void)pool.map_reduce(twice, [offset](int a, int b) { return a + b - offset; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  // never: makes one result of two
  (void)pool.map_reduce([offset](int x) { return x + offset; }, add, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  // never: makes one result of two
  (void)pool.map_reduce(twice, [](int a, int b) mutable { return a += b; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing
  // never: no matching
  (void)pool.map_reduce(print, add, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // never: makes one result of two
  (void)pool.map_reduce(find, [](word* a, word*) { return a; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<int>, procpool::detail::type_list<word> >
  // never: makes one result of two
  (void)pool.map_reduce(twice, add, std::vector<word>());
#endif
#if MISTAKE == __LINE__
  // error: procpool: map and for_each need at least one range
  (void)pool.map_reduce(twice, add);
#endif
#if MISTAKE == __LINE__
  // error: procpool: what follows the function in map and for_each are ranges
  (void)pool.map_reduce(twice, add, 5);
#endif
#if MISTAKE == __LINE__
  // error: ignoring return value
  pool.map_reduce(twice, add, numbers);
#endif
}
