// Results are values.
#include <span>
#include <string_view>

#include "procpool/procpool.hpp"

using namespace procpool;

struct item {
  int value;
};
struct found {
  int index;
  const item* where;
};

const std::string& reference();
item* pointer();
found holds_pointer();
std::string_view view();
std::span<item> items();
void (*function())();
item& by_number(int);

void use(process_pool_executor& pool) {
#if !MISTAKE
  (void)pool.submit(reference);
  (void)pool.map(by_number, {1, 2});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: item*, procpool::detail::no_owner
  (void)pool.submit(pointer);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: const item*, found, 1
  (void)pool.submit(holds_pointer);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a view cannot be sent inside another value or as a result: use std::string for
  // error: std::string_view and std::vector for std::span
  (void)pool.submit(view);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a view cannot be sent inside another value or as a result
  (void)pool.submit(items);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a function pointer or task cannot be a result: return a value that says which
  (void)pool.submit(function);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: item*, procpool::detail::no_owner
  // never: use for_each
  (void)pool.map([](int) -> item* { return nullptr; }, {1, 2});
#endif
}
