// Fills what its limits allow with shared arrays, in itself and in tasks: shared_limits <method>.
// Ends with 0 if each failure was a std::system_error that says what to do.
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;

// What fits, each element written; then the error.
std::size_t fill(std::size_t bytes) {
  std::vector<shared_array<char>> all;
  try {
    for (;;) {
      all.emplace_back(bytes);
      std::memset(all.back().data(), 1, bytes);
    }
  } catch (const std::system_error& e) {
    const std::string what = e.what();
    if (what.find("ulimit -f") == what.npos && what.find("destroy handles") == what.npos) throw;
    return all.size();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const std::size_t small = fill(1), large = fill(std::size_t{1} << 20);
    std::fprintf(stderr, "%zu small, %zu large\n", small, large);
    pool_options options{.max_workers = 1};
    for (const start_method m : procpool::testing::start_methods()) {
      if (procpool::testing::name_of(m) == argv[1]) options.start = m;
    }
    try {
      process_pool_executor pool(options);
      if (pool.submit(fill, std::size_t{1}).get() != small) return 3;
      if (pool.submit(fill, std::size_t{1} << 20).get() != large) return 4;
    } catch (const std::system_error& e) {
      // A region wants more than the objects do.
      std::fprintf(stderr, "no pool: %s\n", e.what());
      if (e.code().value() != EFBIG) return 5;
    }
    if (small != fill(1)) return 6;
  } catch (const std::system_error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    // Not even the process page fits.
    return e.code().value() == EFBIG ? 0 : 1;
  }
  return 0;
}
