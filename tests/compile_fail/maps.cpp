// What map asks for, and for_each does not.
#include "procpool/procpool.hpp"

using namespace procpool;

void print(int);
int twice(int);

struct word {};

void use(process_pool_executor& pool, const std::vector<int>& numbers,
         const std::vector<word>& words) {
#if !MISTAKE
  auto results = pool.map(twice, numbers);
  pool.for_each(print, numbers);
  pool.for_each(twice, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing, so map has no results: use for_each
  // never: no matching
  (void)pool.map(print, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing, so map has no results: use for_each
  // never: no matching
  (void)pool.map({.chunksize = 2}, print, {1, 2});
#endif
#if MISTAKE == __LINE__
  // error: dropping the results cancels the map: use for_each
  pool.map(twice, numbers);
#endif
#if MISTAKE == __LINE__
  // error: dropping the results cancels the map: use for_each
  pool.map({.chunksize = 2}, twice, numbers);
#endif
#if MISTAKE == __LINE__
  // error: dropping the results cancels the map: use for_each
  pool.map(twice, {1, 2});
#endif
#if MISTAKE == __LINE__
  // error: procpool: map and for_each need at least one range
  // never: cannot be called with these arguments
  // never: returns nothing
  // never: no matching
  (void)pool.map(twice);
#endif
#if MISTAKE == __LINE__
  // error: procpool: map and for_each need at least one range
  // never: cannot be called with these arguments
  pool.for_each({.chunksize = 2}, twice);
#endif
#if MISTAKE == __LINE__
  // error: procpool: what follows the function in map and for_each are ranges, one for each of its
  // never: constraint
  // never: no match
  (void)pool.map(twice, 5);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  // never: returns nothing
  // never: no matching
  // never: override
  (void)pool.map([&](int x) { return x + numbers[0]; }, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task cannot capture variables
  // never: returns nothing
  // never: override
  for (int& r : pool.map([&](int x) { return x + numbers[0]; }, numbers)) print(r);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<int>, procpool::detail::type_list<word> >
  // never: returns nothing
  // never: no matching
  (void)pool.map(twice, words);
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  // error: type_list<int>, procpool::detail::type_list<int, int> >
  // never: returns nothing
  (void)pool.map(twice, numbers, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a task function is called as const
  // never: returns nothing
  (void)pool.map([](int x) mutable { return ++x; }, numbers);
#endif
}
