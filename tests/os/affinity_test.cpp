// Which CPUs are near each other, and which of them a pinned worker gets.
#include "os/affinity.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "shm/worker_settings.hpp"

namespace procpool {
namespace {

using cpu_list = std::vector<unsigned>;

// Two packages with two cores of two threads each, numbered as many machines do: CPUs 0 and 4 are
// the threads of the first core, and even cores are in package 0.
std::optional<std::string> topology(const std::string& path) {
  const unsigned cpu =
      static_cast<unsigned>(path[std::string("/sys/devices/system/cpu/cpu").size()] - '0');
  if (path.ends_with("/physical_package_id")) return std::to_string(cpu % 2) + "\n";
  if (path.ends_with("/core_id")) return std::to_string(cpu % 4 / 2) + "\n";
  return std::nullopt;
}

TEST(affinity_test, neighbours_are_threads_of_a_core_then_cores_of_a_package) {
  cpu_list cpus{0, 1, 2, 3, 4, 5, 6, 7};
  os::sort_by_distance(cpus, topology);
  EXPECT_EQ(cpus, (cpu_list{0, 4, 2, 6, 1, 5, 3, 7}));
  cpu_list some{7, 3, 0};
  os::sort_by_distance(some, [](const std::string&) { return std::optional<std::string>(); });
  EXPECT_EQ(some, (cpu_list{7, 3, 0})) << "nothing is known: the order stays";
}

TEST(affinity_test, every_cpu_belongs_to_one_share) {
  for (unsigned n : {1U, 2U, 3U, 8U, 255U}) {
    shm::worker_settings settings;
    for (unsigned i = 0; i < n; ++i) settings.cpus.push_back(i);
    for (unsigned workers : {1U, 2U, 5U, 64U, 300U}) {
      cpu_list together;
      for (unsigned seat = 0; seat < workers; ++seat) {
        settings.shares_cpus = false;
        EXPECT_EQ(shm::cpus_of(settings, seat, workers), cpu_list{seat % n});
        settings.shares_cpus = true;
        const cpu_list share = shm::cpus_of(settings, seat, workers);
        EXPECT_FALSE(share.empty());
        together.insert(together.end(), share.begin(), share.end());
      }
      EXPECT_TRUE(workers > n || together == settings.cpus) << n << ' ' << workers;
    }
  }
  EXPECT_TRUE(shm::cpus_of({}, 0, 4).empty());
}

TEST(affinity_test, the_mask_can_be_narrowed_and_restored) {
  const cpu_list all = os::allowed_cpus();
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(os::bind_to(cpu_list{all.back()}));
  EXPECT_EQ(os::allowed_cpus(), cpu_list{all.back()});
  EXPECT_TRUE(os::bind_to(all));
  EXPECT_EQ(os::allowed_cpus(), all);
  EXPECT_FALSE(os::bind_to({}));
}

}  // namespace
}  // namespace procpool
