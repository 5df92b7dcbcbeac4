// Waiting for many futures costs the same for each, however many are pending: instructions, counted
// by callgrind. It counts all threads of the process, so that what the others do meanwhile is in
// the figures of a run; and where its counters overflow it prints a difference below zero, as a
// number of 20 digits. So the least of several runs counts, and of what is impossible nothing.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace {

using costs = std::map<std::string, double>;

constexpr double impossible = 1e12;  // instructions for one part of the program

// Instructions per future in each part of the program pending_futures, run with `n` of them.
costs count(int n) {
  const std::string out = ::testing::TempDir() + "procpool-cost-" + std::to_string(getpid());
  const std::string command =
      "valgrind --tool=callgrind --quiet --instr-atstart=no --callgrind-out-file=" + out +
      " " PROCPOOL_TEST_PROGRAMS_DIR "/pending_futures " + std::to_string(n) + " " + out +
      ".allowed 2> " + out + ".err";
  const int status = std::system(command.c_str());
  std::ifstream err(out + ".err");
  EXPECT_EQ(status, 0) << command << "\n" << std::string(std::istreambuf_iterator<char>(err), {});
  // Each dump is a file: "desc: Trigger: Client Request: wait, done 1000", later "totals: 123456".
  costs found;
  for (int i = 1; i < 20; ++i) {
    const std::string name = out + "." + std::to_string(i);
    std::ifstream in(name);
    if (!in) break;
    const std::string trigger = "desc: Trigger: Client Request: ";
    std::string part;
    double futures = 1;
    for (std::string line; std::getline(in, line);) {
      if (line.rfind(trigger, 0) == 0) {
        const auto space = line.rfind(' ');
        part = line.substr(trigger.size(), space - trigger.size());
        futures = std::stod(line.substr(space));
      }
      if (line.rfind("summary: ", 0) == 0 && !part.empty()) {
        const double all = std::stod(line.substr(9));
        if (all < impossible) found[part] = all / futures;
      }
    }
    std::filesystem::remove(name);
  }
  std::filesystem::remove(out);
  std::filesystem::remove(out + ".err");
  return found;
}

void keep_the_least(costs& least, const costs& more) {
  for (const auto& [part, cost] : more) {
    const auto [at, is_new] = least.insert({part, cost});
    if (!is_new) at->second = std::min(at->second, cost);
  }
}

constexpr std::size_t parts = 6;
// A hundred times as many futures: what looks at all of them would cost a hundred times as much.
constexpr double most_growth = 1.5;

bool is_flat(const costs& few, const costs& many) {
  if (few.size() != parts || many.size() != parts) return false;
  return std::ranges::all_of(few, [&](const auto& f) {
    return many.contains(f.first) && many.at(f.first) < most_growth * f.second;
  });
}

TEST(cost_test, instructions_per_future) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own instructions would be counted";
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  GTEST_SKIP() << "a sanitizer's own instructions would be counted";
#endif
#endif
#if !__has_include(<valgrind/callgrind.h>)
  FAIL() << "no callgrind.h: nothing can be counted; it comes with valgrind";
#endif
  // A test that is skipped where a tool is missing says nothing where it should.
  ASSERT_EQ(std::system("valgrind --version > /dev/null 2>&1"), 0) << "no valgrind";
  costs few, many;
  for (int run = 0; run < 3 && !is_flat(few, many); ++run) {
    keep_the_least(few, count(1'000));
    keep_the_least(many, count(100'000));
  }
  EXPECT_EQ(few.size(), parts);
  for (const auto& [part, cost] : few) {
    const auto at = many.find(part);
    ASSERT_NE(at, many.end()) << part;
    std::printf("%-16s %6.0f instructions a future with 1,000, %6.0f with 100,000\n", part.c_str(),
                cost, at->second);
    EXPECT_GT(cost, 30) << part << ": nothing was counted";
    EXPECT_LT(at->second, most_growth * cost) << part;
  }
}

}  // namespace
