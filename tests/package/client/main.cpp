// A user's program, as small as it gets: what the package tests build in every way a user might.

#include <procpool/procpool.hpp>
#include <vector>

namespace {

int square(int x) { return x * x; }

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#ifdef CLIENT_FULLY_STATIC
  procpool::init(argc, argv);  // nothing can be put before main in a fully static program
#endif
  procpool::process_pool_executor pool(2);
  auto answer = pool.submit(square, 7);
  int sum = 0;
  for (int y : pool.map(square, std::vector{1, 2, 3})) sum += y;
  return answer.get() == 49 && sum == 14 ? 0 : 1;
}
