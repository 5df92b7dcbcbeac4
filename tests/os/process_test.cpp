// Descriptors, children, detached processes, and what the machine has.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

#include "os/child_setup.hpp"
#include "os/children.hpp"
#include "os/cpu_count.hpp"
#include "os/detached_process.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/private_fds.hpp"
#include "os/thread_count.hpp"

namespace procpool::os {
namespace {

using namespace std::chrono_literals;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(unique_fd_test, owns_and_moves) {
  const int before = open_fd_count();
  {
    unique_fd a(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int fd = a.get();
    unique_fd b(std::move(a));
    EXPECT_FALSE(a);
    EXPECT_EQ(b.get(), fd);
    a = std::move(b);
    EXPECT_TRUE(is_open(fd));
    a.reset();
    EXPECT_FALSE(is_open(fd));
  }
  EXPECT_EQ(open_fd_count(), before);
}

TEST(unique_fd_test, stays_clear_of_the_standard_streams) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(0);
    const unique_fd fd = above_stdio(unique_fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
    ::_exit(fd.get() > 2 && !is_open(0) ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(private_fds_test, only_registered_descriptors_are_closed) {
  const pid_t child = ::fork();
  if (child == 0) {
    pipe_ends plain = try_make_pipe();
    pipe_ends ends = try_make_pipe();
    const private_fd kept(std::move(ends.reader));
    private_fd closed(std::move(ends.writer));
    const int keep[] = {kept.get()};
    close_private_fds(keep);
    int faults = !is_open(plain.reader.get()) + !is_open(kept.get()) + is_open(closed.get());
    const unique_fd no_longer = closed.release();
    ::_exit(faults);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(pipe_test, gives_whole_messages_and_the_end) {
  pipe_ends ends = try_make_pipe();
  const std::uint64_t sent = 77;
  std::uint64_t got = 0;
  ASSERT_TRUE(write_pipe(ends.writer.get(), &sent, sizeof(sent)));
  ASSERT_TRUE(read_pipe(ends.reader.get(), &got, sizeof(got)));
  EXPECT_EQ(got, sent);
  ends.writer.reset();
  EXPECT_FALSE(read_pipe(ends.reader.get(), &got, sizeof(got)));
}

TEST(pidfd_test, tells_life_from_death) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (;;) ::pause();
  }
  const unique_fd pidfd = open_pidfd(child);
  if (!pidfd) GTEST_SKIP() << "no pidfds here";
  EXPECT_FALSE(pidfd_dead(pidfd.get()));
  EXPECT_EQ(pidfd_signal(pidfd.get(), SIGKILL), 0);
  EXPECT_TRUE(poll_one(pidfd.get(), poll_for::input, 10s).readable);
  pidfd_reap(pidfd.get());
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), -1);
  EXPECT_EQ(pidfd_signal(pidfd.get(), SIGKILL), ESRCH);
}

TEST(children_test, exit_codes_and_signals_are_exact) {
  const auto end_of = [](auto action) {
    const forked child = fork_child();
    if (child.pid == 0) {
      action();
      ::_exit(0);
    }
    return *reap(child.pid);
  };
  EXPECT_EQ(end_of([] { ::_exit(7); }).status, 7);
  const child_end killed = end_of([] { ::raise(SIGKILL); });
  EXPECT_EQ(killed.code, CLD_KILLED);
  EXPECT_EQ(killed.status, SIGKILL);
  EXPECT_FALSE(reap(1).has_value());
  EXPECT_FALSE(reap_any().has_value());
}

TEST(detached_process_test, a_program_that_cannot_be_executed_is_an_error) {
  char pid[pid_digits + 1] = "0000000000";
  char name[] = "nothing";
  char* const argv[] = {name, nullptr};
  char* const envp[] = {pid, nullptr};
  exec_request request;
  request.path = "/nonexistent/program";
  request.argv = argv;
  request.envp = envp;
  request.pid_text = pid;
  const detached_process result = spawn_detached(request);
  EXPECT_EQ(result.error, ENOENT);
  EXPECT_EQ(result.pid, 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
}

TEST(detached_process_test, is_no_child_of_the_program_and_inherits_one_descriptor) {
  pipe_ends ends = try_make_pipe();
  const unique_fd other(::open("/dev/null", O_RDONLY));  // not close-on-exec: must not get through
  char pid[] = "PID=0000000000";
  std::string script = "echo $PID; ls /proc/self/fd | wc -l; cat; kill -0 $$";
  char shell[] = "sh", option[] = "-c";
  char* const argv[] = {shell, option, script.data(), nullptr};
  char path[] = "PATH=/usr/bin:/bin";
  char* const envp[] = {pid, path, nullptr};
  // The shell writes to its standard output; this process's is exchanged for the pipe meanwhile.
  const unique_fd saved(::dup(1));
  ASSERT_EQ(::dup2(ends.writer.get(), 1), 1);
  exec_request request;
  request.path = "/bin/sh";
  request.argv = argv;
  request.envp = envp;
  request.pid_text = pid + 4;
  request.inherited_fd = ends.reader.get();
  const detached_process result = spawn_detached(request);
  ASSERT_EQ(::dup2(saved.get(), 1), 1);
  ASSERT_EQ(result.error, 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG | __WALL), -1);
  EXPECT_EQ(errno, ECHILD);
  ends.writer.reset();
  std::string text;
  for (char c = 0; ::read(ends.reader.get(), &c, 1) == 1;) text += c;
  // 0, 1, 2, the inherited one, and the folder that ls reads.
  EXPECT_EQ(std::stoi(text), result.pid) << text;
  EXPECT_EQ(std::stoi(text.substr(text.find('\n'))), 5) << text;
}

TEST(thread_count_test, counts) {
  const int before = thread_count();
  ASSERT_GE(before, 1);
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) std::this_thread::yield();
  });
  EXPECT_EQ(thread_count(), before + 1);
  stop = true;
  other.join();
}

// --- CPUs
// -----------------------------------------------------------------------------------------

using files = std::map<std::string, std::string>;

std::optional<double> quota(const std::string& groups, const files& all) {
  return cpu_quota(groups, [&](const std::string& path) -> std::optional<std::string> {
    const auto at = all.find(path);
    return at == all.end() ? std::nullopt : std::optional(at->second);
  });
}

TEST(cpu_count_test, is_at_least_one_and_at_most_the_affinity) {
  cpu_set_t set;
  ASSERT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_GE(cpu_count(), 1);
  EXPECT_LE(cpu_count(), CPU_COUNT(&set));
}

TEST(cpu_count_test, reads_quotas_of_version_2) {
  const files all = {{"/sys/fs/cgroup/a/b/cpu.max", "max 100000\n"},
                     {"/sys/fs/cgroup/a/cpu.max", "250000 100000\n"}};
  EXPECT_EQ(quota("0::/a/b\n", all), 2.5);
  EXPECT_EQ(quota("0::/\n", all), std::nullopt);
}

TEST(cpu_count_test, reads_quotas_of_version_1) {
  const files all = {{"/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "50000\n"},
                     {"/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"},
                     {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"},
                     {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"}};
  EXPECT_EQ(quota("4:cpu,cpuacct:/x\n3:memory:/y\n", all), 0.5);
  EXPECT_EQ(quota("4:cpu:/\n", all), std::nullopt);
}

TEST(cpu_count_test, survives_nonsense) {
  EXPECT_EQ(quota("", {}), std::nullopt);
  EXPECT_EQ(quota("no colons\n0::relative\n::\n", {}), std::nullopt);
  EXPECT_EQ(quota("0::/a\n", {{"/sys/fs/cgroup/a/cpu.max", "x y z"}}), std::nullopt);
  EXPECT_EQ(quota("0::/a\n", {{"/sys/fs/cgroup/a/cpu.max", "0 0"}}), std::nullopt);
}

}  // namespace
}  // namespace procpool::os
