// memfd and mapping.

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>
#include <system_error>

#include "os/mapping.hpp"
#include "os/memfd.hpp"

namespace procpool::os {
namespace {

// 0 if the message of a mapping that must be locked, and may not be, names the limit.
int map_more_than_may_be_locked() {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  return 0;  // the sanitizer's own mappings would fail
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
  return 0;
#endif
#endif
  const unique_fd fd = create_memfd("test");
  constexpr std::size_t size = std::size_t{8} << 20;
  grow_memfd(fd.get(), size);
  const rlimit limit{size / 8, size / 8};
  if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return 2;
  if (geteuid() == 0 && setuid(65534) != 0) return 3;  // which gives the right to lock up
  if (mlockall(MCL_FUTURE) != 0) return 4;
  try {
    const mapping all = mapping::shared(fd.get(), 0, size);
    return 5;
  } catch (const std::system_error& e) {
    return std::string(e.what()).find("RLIMIT_MEMLOCK") != std::string::npos ? 0 : 6;
  }
}

TEST(mapping_test, a_mapping_that_must_be_locked_names_the_limit) {
  const pid_t pid = fork();
  if (pid == 0) _exit(map_more_than_may_be_locked());
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

TEST(memfd_test, a_memfd_grows_and_keeps_its_contents) {
  const unique_fd fd = create_memfd("test");
  EXPECT_EQ(file_size(fd.get()), 0U);
  grow_memfd(fd.get(), page_size());
  mapping first = mapping::shared(fd.get(), 0, page_size());
  first.data()[7] = std::byte{42};
  grow_memfd(fd.get(), 3 * page_size());
  grow_memfd(fd.get(), page_size());  // no way back
  EXPECT_EQ(file_size(fd.get()), 3 * page_size());
  EXPECT_EQ(mapping::shared(fd.get(), 0, 3 * page_size()).data()[7], std::byte{42});
}

TEST(memfd_test, a_size_beyond_the_file_limit_is_an_error_and_no_signal) {
  const unique_fd fd = create_memfd("test");
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit tight = old;
  tight.rlim_cur = 4 * page_size();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_NO_THROW(grow_memfd(fd.get(), 4 * page_size()));
  try {
    grow_memfd(fd.get(), 5 * page_size());
    ADD_FAILURE() << "grew past the limit";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EFBIG);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(file_size(fd.get()), 4 * page_size());
}

TEST(memfd_test, seals_hold) {
  const unique_fd fd = create_memfd("test");
  grow_memfd(fd.get(), 2 * page_size());
  forbid_shrink(fd.get());
  EXPECT_NE(::ftruncate(fd.get(), 0), 0);
  EXPECT_EQ(errno, EPERM);
  EXPECT_NO_THROW(grow_memfd(fd.get(), 3 * page_size()));
  forbid_resize(fd.get());
  EXPECT_THROW(grow_memfd(fd.get(), 4 * page_size()), std::system_error);
}

TEST(memfd_test, a_hole_reads_as_zero) {
  const unique_fd fd = create_memfd("test");
  grow_memfd(fd.get(), 2 * page_size());
  const mapping bytes = mapping::shared(fd.get(), 0, 2 * page_size());
  bytes.data()[page_size()] = std::byte{1};
  EXPECT_TRUE(punch_hole(fd.get(), page_size(), page_size()));
  EXPECT_EQ(bytes.data()[page_size()], std::byte{0});
}

TEST(mapping_test, failure_is_an_error_or_an_empty_mapping) {
  EXPECT_THROW(mapping::shared(-1, 0, page_size()), std::system_error);
  EXPECT_FALSE(mapping::try_shared(-1, 0, page_size()));
}

TEST(mapping_test, a_range_that_is_excluded_from_forks_is_not_in_the_child) {
  const unique_fd fd = create_memfd("test");
  grow_memfd(fd.get(), page_size());
  const mapping bytes = mapping::shared(fd.get(), 0, page_size());
  ASSERT_TRUE(bytes.exclude_from_fork());
  const pid_t child = ::fork();
  if (child == 0) {
    // mincore knows whether anything is mapped there, without touching it.
    unsigned char resident = 0;
    ::_exit(::mincore(bytes.data(), page_size(), &resident) != 0 && errno == ENOMEM ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace procpool::os
