// Waiting for many futures costs the same for each, however many are pending: instructions, counted
// by callgrind.
#include <unistd.h>

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
        found[part] = std::stod(line.substr(9)) / futures;
      }
    }
    std::filesystem::remove(name);
  }
  std::filesystem::remove(out);
  std::filesystem::remove(out + ".err");
  return found;
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
  const costs few = count(1'000), many = count(100'000);
  EXPECT_EQ(few.size(), 6U);
  for (const auto& [part, cost] : few) {
    const auto at = many.find(part);
    ASSERT_NE(at, many.end()) << part;
    std::printf("%-16s %6.0f instructions a future with 1,000, %6.0f with 100,000\n", part.c_str(),
                cost, at->second);
    EXPECT_GT(cost, 30) << part << ": nothing was counted";
    // Who reads waits for the worker, and either looks or sleeps, as its luck goes: half as many or
    // twice as many instructions. What grew with the futures would be a hundred times as many.
    EXPECT_LT(at->second, (part == "finished, read" ? 10 : 1.5) * cost) << part;
  }
}

}  // namespace
