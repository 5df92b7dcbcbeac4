// A plug-in that uses procpool, as an interpreter's module would.

#include <cstdio>
#include <exception>
#include <procpool/procpool.hpp>
#include <string_view>

namespace {

using procpool::start_method;

int square(int x) { return x * x; }

start_method method_of(std::string_view name) {
  if (name == "fork") return start_method::fork;
  return name == "forkserver" ? start_method::forkserver : start_method::spawn;
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int run_pool(const char* method) noexcept {
  try {
    procpool::process_pool_executor pool({.max_workers = 2, .start = method_of(method)});
    auto answer = pool.submit(square, 7);
    int sum = 0;
    for (int y : pool.map(square, {1, 2, 3})) sum += y;
    return answer.get() == 49 && sum == 14 ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 2;
  }
}
