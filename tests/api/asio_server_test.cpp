// examples/16_asio_server.cpp under load: 10,000 connections in one thread, requests to a process
// pool, and workers that are killed while it serves. No connection is dropped, and every answer is
// right.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "os/sanitizers.hpp"

namespace {

using namespace std::chrono_literals;

constexpr char server_path[] = PROCPOOL_EXAMPLES_DIR "/16_asio_server";
constexpr char load_path[] = PROCPOOL_TEST_PROGRAMS_DIR "/line_load";
constexpr char marker[] = "PROCPOOL_TEST_SERVER_OF";
constexpr int rounds = 2;

// As many as asked for, where each process may have so many descriptors.
long connections() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const bool slow = procpool::os::thread_sanitizer || procpool::os::address_sanitizer;
  const long wanted = slow ? 2'000 : 10'000;
  if (limit.rlim_max == RLIM_INFINITY) return wanted;
  return std::min(wanted, static_cast<long>(limit.rlim_max) - 200);
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class server_process {
 public:
  server_process() {
    int ends[2] = {};
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      setenv(marker, std::to_string(getppid()).c_str(), 1);
      dup2(ends[1], STDOUT_FILENO);
      execl(server_path, server_path, "0", nullptr);
      _exit(127);
    }
    close(ends[1]);
    out_ = fdopen(ends[0], "r");
    if (std::fscanf(out_, "listening on port %d", &port_) != 1) port_ = 0;
  }
  ~server_process() {
    if (pid_ != 0) kill(pid_, SIGKILL), wait();
    std::fclose(out_);
  }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  int port() const { return port_; }
  int stop() {
    kill(pid_, SIGTERM);
    return wait();
  }
  bool kill_a_worker(std::size_t which) const {
    const std::vector<pid_t> all = workers();
    return !all.empty() && kill(all[which % all.size()], SIGKILL) == 0;
  }

 private:
  // They inherit the server's environment and keep its name, which the fork server does not.
  std::vector<pid_t> workers() const {
    const std::string name = std::filesystem::path(server_path).filename().string() + "\n";
    const std::string wanted = std::string(marker) + "=" + std::to_string(getpid());
    std::vector<pid_t> all;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      if (pid <= 0 || pid == pid_ || text_of(entry.path() / "comm") != name) continue;
      if (text_of(entry.path() / "environ").find(wanted) != std::string::npos) all.push_back(pid);
    }
    return all;
  }
  int wait() {
    int status = 0;
    waitpid(std::exchange(pid_, 0), &status, 0);
    return status;
  }
  pid_t pid_ = 0;
  std::FILE* out_ = nullptr;
  int port_ = 0;
};

// Kills a worker now and then until it goes.
class killer {
 public:
  explicit killer(const server_process& server) : thread_([this, &server] { run(server); }) {}
  // Returns how many there were.
  int stop() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
    return killed_;
  }

 private:
  void run(const server_process& server) {
    std::unique_lock lock(mutex_);
    for (std::size_t i = 0; !over_; ++i) {
      if (server.kill_a_worker(i)) ++killed_;
      changed_.wait_for(lock, 40ms, [this] { return over_; });
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  int killed_ = 0;
  std::thread thread_;
};

TEST(asio_server_test, ten_thousand_connections_while_workers_die) {
  const long n = connections();
  ASSERT_GT(n, 0) << "the limit of descriptors is too low";
  server_process server;
  ASSERT_NE(server.port(), 0);
  std::ostringstream command;
  command << "exec " << load_path << ' ' << server.port() << ' ' << n << ' ' << rounds;
  std::FILE* load = popen(command.str().c_str(), "re");
  ASSERT_NE(load, nullptr);
  long connected = 0, right = -1, wrong = -1, dropped = -1;
  EXPECT_EQ(std::fscanf(load, "connected %ld", &connected), 1);
  EXPECT_EQ(connected, n);
  killer strikes(server);
  EXPECT_EQ(std::fscanf(load, " right %ld wrong %ld dropped %ld", &right, &wrong, &dropped), 3);
  const int killed = strikes.stop();
  EXPECT_EQ(pclose(load), 0);
  EXPECT_EQ(right, n * rounds);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(dropped, 0);
  EXPECT_GT(killed, 0);
  RecordProperty("killed", killed);
  EXPECT_EQ(server.stop(), 0);
}

}  // namespace
