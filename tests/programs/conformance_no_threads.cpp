// A pool in a process that cannot start a thread: conformance_no_threads <start method>. The
// constructor throws, nothing is left, and a pool that is made later works. A pool of threads needs
// one; more are a matter of speed.
#include <dlfcn.h>
#include <pthread.h>

#include <cerrno>
#include <cstdio>
#include <future>
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

void threads() {
  using namespace procpool;
  thread_pool_executor pool(2);
  refuse = true;
  try {
    (void)pool.submit([] {});
    std::puts("a thread");
  } catch (const std::system_error&) {
    std::puts("system_error");
  }
  refuse = false;
  std::promise<void> gate;
  auto first = pool.submit([&] { gate.get_future().wait(); });
  refuse = true;
  auto second = pool.submit([] { return 7; });
  // No thread could report it.
  completion_queue<int> queue;
  queue.native_handle();
  try {
    queue.add(std::move(second));
    std::puts("added");
  } catch (const std::system_error&) {
    std::printf("system_error %zu\n", queue.size());
  }
  refuse = false;
  gate.set_value();
  first.get();
  std::printf("%d\n", second.get());
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
  threads();
}
