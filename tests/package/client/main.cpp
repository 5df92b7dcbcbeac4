// A user's program, as small as it gets: what the package tests build in every way a user might.

#include <cstdio>
#include <procpool/procpool.hpp>
#include <vector>

namespace {

using procpool::start_method;

int square(int x) { return x * x; }

bool works(start_method start) {
  procpool::process_pool_executor pool({.max_workers = 2, .start = start});
  auto answer = pool.submit(square, 7);
  int sum = 0;
  for (int y : pool.map(square, std::vector{1, 2, 3})) sum += y;
  return answer.get() == 49 && sum == 14;
}

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#ifdef CLIENT_FULLY_STATIC
  procpool::init(argc, argv);  // nothing can be put before main in a fully static program
#endif
  for (const auto start : {start_method::spawn, start_method::forkserver, start_method::fork}) {
    if (works(start)) continue;
    std::fprintf(stderr, "start method %d: wrong answer\n", static_cast<int>(start));
    return 1;
  }
}
