// What points into one process: the message names the type, its owner and the number of the member.
#include <functional>
#include <string_view>

#include "procpool/procpool.hpp"

using namespace procpool;

struct target {
  int value;
};
struct node {
  int value;
  double weight;
  const target* next;
};
struct line {
  std::string_view text;
};
struct refers {
  target& to;
};

void use(process_pool_executor& pool, target& t) {
#if !MISTAKE
  (void)pool.submit([](const std::vector<std::unique_ptr<int>>&) {},
                    std::vector<std::unique_ptr<int>>());
  (void)pool.submit([](const std::string&) {}, "a literal travels as text");
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process: send the object itself or a
  // error: target*, procpool::detail::no_owner
  (void)pool.submit([](target*) {}, &t);
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: const target*, node, 2
  (void)pool.submit([](const node&) {}, node{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: const target*, node, 2
  (void)pool.submit([](const std::vector<node>&) {}, std::vector<node>());
#endif
#if MISTAKE == __LINE__
  // error: procpool: a raw pointer cannot be sent to another process
  // error: const target*, node, 2
  (void)pool.submit(partial([](const node&) {}, node{}));
#endif
#if MISTAKE == __LINE__
  // error: procpool: a view cannot be sent inside another value or as a result: use std::string
  // error: line, 0
  (void)pool.submit([](const line&) {}, line{});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a reference cannot be sent to another process: send a value
  // error: target&, refers, 0
  (void)pool.submit([](const refers&) {}, refers{t});
#endif
#if MISTAKE == __LINE__
  // error: procpool: a reference cannot be sent to another process: send a value
  (void)pool.submit([](target&) {}, std::ref(t));
#endif
}
