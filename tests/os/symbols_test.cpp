// Names of functions, from files that are what they should be and from others.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "os/modules.hpp"
#include "os/trace/symbols.hpp"

namespace procpool::os {
namespace named {

[[gnu::noinline]] int function_to_find(int x) {
  volatile int y = x;
  return y + 1;
}

}  // namespace named
namespace {

// Of this test program: where the function is in the file. The first segment is mapped from the
// file's beginning, and those of a program that is built as usual keep that distance up to its
// code.
struct place {
  std::string path;
  std::uint64_t address;
};
place of_function() {
  const void* p = reinterpret_cast<const void*>(&named::function_to_find);
  const auto module = module_of(p);
  return {module->path, reinterpret_cast<std::uintptr_t>(p) - module->begin};
}

// find_symbol takes offsets of the file; the loader's tables say addresses. This one looks for the
// offset, as the inverse of what the program headers say.
std::uint64_t offset_of(const place& where) {
  for (std::uint64_t page = 0; page <= where.address; page += 4096) {
    if (find_symbol(where.path, where.address - page).address == where.address) {
      return where.address - page;
    }
  }
  return 0;
}

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(symbols_test, a_function_of_this_program) {
  const place where = of_function();
  const symbol s = find_symbol(where.path, offset_of(where) + 1);
  EXPECT_EQ(s.name, "procpool::os::named::function_to_find(int)");
  EXPECT_EQ(s.offset, 1u);
  EXPECT_EQ(s.address, where.address + 1);
}

TEST(symbols_test, files_without_symbols) {
  for (const char* path : {"/nowhere", "/", "/dev/null", "/proc/self/maps", ""}) {
    const symbol s = find_symbol(path, 64);
    EXPECT_EQ(s.name, "") << path;
    EXPECT_EQ(s.address, 0u) << path;
  }
}

TEST(symbols_test, a_truncated_or_forged_file) {
  const place where = of_function();
  const std::uint64_t offset = offset_of(where);
  const std::string whole = bytes_of(where.path);
  const std::string copy = ::testing::TempDir() + "procpool-symbols-" + std::to_string(getpid());
  std::mt19937 random(20);
  const auto check = [&](const std::string& bytes) {
    std::ofstream(copy, std::ios::binary | std::ios::trunc) << bytes;
    const symbol s = find_symbol(copy, offset);
    // Nothing, or at most a name that is somewhere in the file.
    EXPECT_LE(s.name.size(), std::size_t{1} << 20U);
  };
  for (const std::size_t size : {1u, 16u, 63u, 64u, 65u, 128u, 4096u}) check(whole.substr(0, size));
  for (int i = 0; i < 20; ++i) check(whole.substr(0, random() % whole.size()));
  // Its header, and the section headers at its end.
  for (int i = 0; i < 60; ++i) {
    std::string bytes = whole;
    for (int n = 0; n < 8; ++n) {
      const std::size_t at = i % 2 == 0 ? random() % 1024 : bytes.size() - 1 - random() % 2048;
      bytes[at] = static_cast<char>(random());
    }
    check(bytes);
  }
  std::remove(copy.c_str());
}

}  // namespace
}  // namespace procpool::os
