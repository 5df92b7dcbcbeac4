// A pool in a process that cannot start a thread: conformance_no_threads <start method>. The
// constructor throws, nothing is left, and a pool that is made later works.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "procpool/procpool.hpp"

namespace {

bool refuse = false;

using create_function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);

}  // namespace

// Found before the C library's own.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) noexcept {
  if (refuse) return EAGAIN;
  static const auto real = reinterpret_cast<create_function>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, start, argument);
}

int main(int, char** argv) {
  using namespace procpool;
  const std::string name = argv[1];
  pool_options o{.max_workers = 1};
  o.start = name == "fork"         ? start_method::fork
            : name == "forkserver" ? start_method::forkserver
                                   : start_method::spawn;
  refuse = true;
  try {
    const process_pool_executor pool(o);
    std::puts("a pool");
  } catch (const std::system_error&) {
    std::puts("system_error");
  }
  refuse = false;
  process_pool_executor pool(o);
  std::printf("%d\n", pool.submit([](int x) { return 2 * x; }, 21).get());
}
