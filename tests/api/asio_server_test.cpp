// examples/16_asio_server.cpp under load: 10,000 connections in one thread, requests to a process
// pool, and workers that are killed while it serves. No connection is dropped, and every answer is
// right.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
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

// One connection, as line_load has many.
class client {
 public:
  explicit client(int port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{20, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("no connection");
    }
  }
  ~client() { close(fd_); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  // Empty if none comes.
  std::string answer_to(const std::string& request) {
    char bytes[100];
    if (send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) return {};
    const ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    return {bytes, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
  }

 private:
  const int fd_;
};

class server_process {
 public:
  // With so few descriptors, if the test asks for few.
  explicit server_process(rlim_t descriptors = 0) {
    int ends[2] = {};
    if (pipe(ends) != 0) throw std::runtime_error("no pipe");
    pid_ = fork();
    if (pid_ == 0) {
      setenv(marker, std::to_string(getppid()).c_str(), 1);
      dup2(ends[1], STDOUT_FILENO);
      const rlimit few{descriptors, descriptors};
      if (descriptors != 0) setrlimit(RLIMIT_NOFILE, &few);
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

// A client without a descriptor waits until another client hangs up.
TEST(asio_server_test, more_connections_than_descriptors) {
  constexpr int descriptors = 100;
  server_process server(descriptors);
  ASSERT_NE(server.port(), 0);
  std::vector<std::unique_ptr<client>> all;
  for (int i = 0; i < descriptors; ++i) all.push_back(std::make_unique<client>(server.port()));
  EXPECT_EQ(all.front()->answer_to("1\n").substr(0, 2), "1 ");
  std::string last;
  std::thread waits([&] { last = all.back()->answer_to("1000\n"); });
  for (int i = 0; i + 1 < descriptors; ++i) all[static_cast<std::size_t>(i)].reset();
  waits.join();
  EXPECT_EQ(last.substr(0, 5), "1000 ");
  all.clear();
  EXPECT_EQ(client(server.port()).answer_to("7\n").substr(0, 2), "7 ");
  EXPECT_EQ(server.stop(), 0);
}

}  // namespace
