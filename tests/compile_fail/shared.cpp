// What cannot lie in shared memory.
#include <atomic>
#include <string>

#include "procpool/procpool.hpp"

struct with_pointer {
  int n;
  const char* text;
};
struct with_string {
  std::string text;
};
struct wide {
  long parts[4];
};
struct good {
  std::atomic<int> n;
  double rest[3];
};

void use(procpool::process_pool_executor& pool) {
#if !MISTAKE
  procpool::shared_array<good> fine(3);
  procpool::shared_array<const double> empty;
  (void)pool.submit([](procpool::shared_array<good>) {}, fine);
  (void)empty;
#endif
#if MISTAKE == __LINE__
  // error: procpool: shared memory holds trivially copyable types, std::atomic, and aggregates
  // error: std::
  procpool::shared_array<std::string> a(3);
#endif
#if MISTAKE == __LINE__
  // error: procpool: shared memory holds trivially copyable types, std::atomic, and aggregates
  // error: with_string
  procpool::shared_array<with_string> a(3);
#endif
#if MISTAKE == __LINE__
  // error: procpool: shared memory cannot hold pointers, references or views
  procpool::shared_array<int*> a(3);
#endif
#if MISTAKE == __LINE__
  // error: procpool: shared memory cannot hold pointers, references or views
  // error: with_pointer
  procpool::shared_array<with_pointer> a(3);
#endif
#if MISTAKE == __LINE__
  // error: procpool: shared memory cannot hold pointers, references or views
  procpool::shared_value<std::string_view> v;
#endif
#if MISTAKE == __LINE__
  // error: procpool: this std::atomic takes a lock, which works within one process only
  procpool::shared_value<std::atomic<wide>> v;
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  (void)pool.submit([](std::span<float>) {}, procpool::shared_array<double>(1));
#endif
#if MISTAKE == __LINE__
  // error: procpool: the task function cannot be called with these arguments
  (void)pool.submit([](std::span<double>) {}, procpool::shared_array<const double>());
#endif
}
