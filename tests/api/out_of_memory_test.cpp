// A worker that the kernel kills because its memory is used up: a memory cgroup of its own, where
// the machine lets us make one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
namespace fs = std::filesystem;

bool write_to(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.flush();
  return out.good();
}

// Below the group that this process is in, in the first or the second version of cgroups.
class memory_group {
 public:
  explicit memory_group(std::size_t limit) {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      const bool second = line.starts_with("0::");
      const std::size_t memory = line.find(":memory:");
      if (!second && memory == std::string::npos) continue;
      const fs::path root = second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
      const std::string own = line.substr(second ? 3 : memory + 8);
      const fs::path path =
          fs::path(root.string() + own) / ("procpool-" + std::to_string(getpid()));
      std::error_code failed;
      if (!fs::create_directory(path, failed)) continue;
      const char* file = second ? "memory.max" : "memory.limit_in_bytes";
      if (fs::exists(path / file) && write_to(path / file, std::to_string(limit))) {
        path_ = path;
        // Nothing of it on a disk, where it would only be slow.
        if (second) write_to(path / "memory.swap.max", "0");
        return;
      }
      ::rmdir(path.c_str());
    }
  }
  ~memory_group() {
    if (path_) eventually([this] { return ::rmdir(path_->c_str()) == 0; });
  }
  const std::optional<fs::path>& path() const { return path_; }

 private:
  std::optional<fs::path> path_;
};

std::size_t join_and_fill(const std::string& group, std::size_t bytes) {
  if (!write_to(fs::path(group) / "cgroup.procs", std::to_string(getpid()))) return 0;
  std::vector<char> filled(bytes);
  // In a way that no compiler leaves out.
  volatile char* at = filled.data();
  for (std::size_t i = 0; i < bytes; i += 4096) at[i] = 'x';
  return bytes;
}
int twice(int x) { return 2 * x; }

class out_of_memory_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(out_of_memory_test);

TEST_P(out_of_memory_test, a_lack_of_memory_costs_one_task) {
  if (os::address_sanitizer || os::thread_sanitizer) GTEST_SKIP() << "it has memory of its own";
  const memory_group group(std::size_t{64} << 20U);
  if (!group.path()) GTEST_SKIP() << "no memory cgroup can be made here";
  process_pool_executor pool(options(2));
  std::vector<future<int>> others;
  for (int i = 0; i < 50; ++i) others.push_back(pool.submit(twice, i));
  future<std::size_t> f = pool.submit(task_options{.label = "greedy"}, join_and_fill,
                                      group.path()->string(), std::size_t{512} << 20U);
  for (int i = 50; i < 100; ++i) others.push_back(pool.submit(twice, i));
  try {
    // A group that no process may join lets the task through.
    if (f.get() == 0) GTEST_SKIP() << "no process can be put into the group";
    ADD_FAILURE() << "it had all the memory it wanted";
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.signal(), SIGKILL);
    EXPECT_EQ(e.label(), "greedy");
    EXPECT_NE(std::string(e.what()).find("ran out of memory"), std::string::npos) << e.what();
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), 2 * i);
  EXPECT_EQ(pool.submit(twice, 4).get(), 8);
}

}  // namespace
