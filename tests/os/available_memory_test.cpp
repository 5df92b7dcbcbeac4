#include "os/available_memory.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>

namespace procpool::os {
namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct files {
  std::map<std::string, std::string> texts;
  std::uint64_t available() const {
    return available_memory([this](const std::string& path) -> std::optional<std::string> {
      const auto at = texts.find(path);
      if (at == texts.end()) return std::nullopt;
      return at->second;
    });
  }
};

TEST(available_memory_test, without_information_there_is_no_limit) {
  EXPECT_EQ(files{}.available(), std::numeric_limits<std::uint64_t>::max());
}

TEST(available_memory_test, the_machine_has_memory_and_swap) {
  const files f{
      {{"/proc/meminfo", "MemTotal: 900000 kB\nMemAvailable:   1024 kB\nSwapFree:  2048 kB\n"}}};
  EXPECT_EQ(f.available(), 3 * mib);
}

TEST(available_memory_test, a_group_and_its_ancestors_leave_less) {
  files f{{{"/proc/meminfo", "MemAvailable: 1048576 kB\nSwapFree: 0 kB\n"},
           {"/proc/self/cgroup", "0::/a/b\n"},
           {"/sys/fs/cgroup/a/memory.max", "104857600\n"},
           {"/sys/fs/cgroup/a/memory.current", "62914560\n"},
           {"/sys/fs/cgroup/a/b/memory.max", "max\n"},
           {"/sys/fs/cgroup/a/b/memory.current", "41943040\n"}}};
  EXPECT_EQ(f.available(), 40 * mib);
  // Pages of files go first.
  f.texts["/sys/fs/cgroup/a/memory.stat"] =
      "anon 1\ninactive_file 10485760\nactive_file 10485760\n";
  EXPECT_EQ(f.available(), 60 * mib);
  f.texts["/sys/fs/cgroup/a/b/memory.max"] = "41943040\n";
  EXPECT_EQ(f.available(), 0U);
}

TEST(available_memory_test, swap_of_a_group_counts_up_to_its_limit) {
  const files f{{{"/proc/meminfo", "MemAvailable: 1048576 kB\nSwapFree: 1048576 kB\n"},
                 {"/proc/self/cgroup", "0::/\n"},
                 {"/sys/fs/cgroup/memory.max", "10485760\n"},
                 {"/sys/fs/cgroup/memory.current", "10485760\n"},
                 {"/sys/fs/cgroup/memory.swap.max", "5242880\n"},
                 {"/sys/fs/cgroup/memory.swap.current", "1048576\n"}}};
  EXPECT_EQ(f.available(), 4 * mib);
}

TEST(available_memory_test, a_request_beyond_all_memory_is_refused) {
  EXPECT_TRUE(reserve_estimate(1));
  EXPECT_FALSE(reserve_estimate(std::uint64_t{1} << 50));
  EXPECT_TRUE(reserve_estimate(1));
}

}  // namespace
}  // namespace procpool::os
