// What map asks for, and for_each does not.
#include "procpool/procpool.hpp"

using namespace procpool;

void print(int);
int twice(int);

void use(process_pool_executor& pool, const std::vector<int>& numbers) {
  auto results = pool.map(twice, numbers);
  pool.for_each(print, numbers);
  pool.for_each(twice, numbers);
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing, so map has no results: use for_each
  (void)pool.map(print, numbers);
#endif
#if MISTAKE == __LINE__
  // error: procpool: this function returns nothing, so map has no results: use for_each
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
}
