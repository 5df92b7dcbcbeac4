// shared_array::map_file.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <system_error>

#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using ::testing::HasSubstr;

class shared_file_test : public shared_test {
 protected:
  shared_file_test() {
    char name[] = "/tmp/procpool-test-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~shared_file_test() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name = "data") const { return folder_ + "/" + name; }
  void write(const std::vector<int>& v, const std::string& name = "data") const {
    std::ofstream(path(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(v.data()),
               static_cast<std::streamsize>(v.size() * sizeof(int)));
  }

 private:
  std::string folder_;
};
PROCPOOL_FOR_EACH_START_METHOD(shared_file_test);

long sum(std::span<const int> xs) { return std::accumulate(xs.begin(), xs.end(), 0L); }
int error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code().value();
  }
  return 0;
}

TEST_P(shared_file_test, workers_read_the_file) {
  write({1, 2, 3, 4});
  process_pool_executor pool(options());
  const auto file = shared_array<const int>::map_file(path());
  ASSERT_EQ(file.size(), 4U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool.submit(sum, file).get(), 10);
  EXPECT_EQ(pool.submit(sum, file.subarray(1, 2)).get(), 5);
  // No process holds the file open: it may be removed, and the mapping stays.
  std::filesystem::remove(path());
  EXPECT_EQ(file[3], 4);
}

TEST_P(shared_file_test, a_task_writes_into_the_file) {
  write({1, 2, 3, 4});
  process_pool_executor pool(options());
  const auto file = shared_array<int>::map_file(path());
  const auto change = [](shared_array<int> a) {
    a[2] = 30;
    return a;
  };
  const auto same = pool.submit(change, file).get();
  EXPECT_EQ(same, file);
  EXPECT_EQ(file[2], 30);
  EXPECT_EQ(shared_array<const int>::map_file(path())[2], 30);
  EXPECT_EQ(pool.submit(sum, file).get(), 37);
}

TEST_P(shared_file_test, a_task_maps_a_file_and_returns_the_array) {
  write({5, 6});
  process_pool_executor pool(options());
  const auto map = [](const std::string& p) { return shared_array<const int>::map_file(p); };
  const auto file = pool.submit(map, path()).get();
  EXPECT_EQ(file[0] + file[1], 11);
}

TEST_P(shared_file_test, a_file_handle_travels_where_a_memory_handle_may_not) {
  write({5, 6});
  const auto file = shared_array<const int>::map_file(path());
  pool_options o = options(1);
  o.initializer = partial(
      [](const shared_array<const int>& a) {
        if (a[1] != 6) throw std::runtime_error("wrong");
      },
      file);
  process_pool_executor pool(o);
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
}

TEST_P(shared_file_test, files_that_cannot_be_mapped) {
  const auto map = [](const std::string& p) { (void)shared_array<int>::map_file(p); };
  EXPECT_EQ(error_of([&] { map(path("nothing")); }), ENOENT);
  EXPECT_EQ(error_of([&] { map("/tmp"); }), EISDIR);
  EXPECT_EQ(error_of([&] { (void)shared_array<const int>::map_file("/tmp"); }), ENODEV);
  std::ofstream(path("odd")) << "12345";
  EXPECT_EQ(error_of([&] { map(path("odd")); }), EINVAL);
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_EQ(error_of([&] { map(path("fifo")); }), ENODEV);
  std::ofstream(path("empty")).flush();
  EXPECT_EQ(shared_array<int>::map_file(path("empty")).size(), 0U);
  try {
    map(path("nothing"));
  } catch (const std::system_error& e) {
    EXPECT_THAT(e.what(), HasSubstr(path("nothing")));
  }
}

TEST_P(shared_file_test, a_changed_file_is_not_taken_for_the_old_file) {
  write({1, 2});
  process_pool_executor pool(options(1));
  const auto file = shared_array<const int>::map_file(path());
  write({1, 2, 3}, "other");
  std::filesystem::rename(path("other"), path());
  EXPECT_EQ(error_of([&] { pool.submit(sum, file).get(); }), ESTALE);
  const auto again = shared_array<const int>::map_file(path());
  std::ofstream(path(), std::ios::app | std::ios::binary) << "1234";
  EXPECT_EQ(error_of([&] { pool.submit(sum, again).get(); }), ESTALE);
  std::filesystem::remove(path());
  EXPECT_EQ(error_of([&] { pool.submit(sum, again).get(); }), ENOENT);
}

}  // namespace
