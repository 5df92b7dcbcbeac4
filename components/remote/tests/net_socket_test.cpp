#include "remote/net_socket.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace procpool::remote {
namespace {

using namespace std::chrono_literals;

io_deadline in(std::chrono::milliseconds span) { return std::chrono::steady_clock::now() + span; }

class net_socket_test : public ::testing::Test {
 protected:
  net_socket_test() {
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("no folder");
  }
  ~net_socket_test() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/s"; }

 private:
  std::string folder_ = ::testing::TempDir() + "procpool-net-XXXXXX";
};

TEST_F(net_socket_test, addresses) {
  for (const char* good :
       {"a:1", "127.0.0.1:0", "[::1]:80", "host.example:http", "./s", "/run/s"}) {
    EXPECT_NO_THROW(check_address(good)) << good;
  }
  for (const char* bad : {"", "s", ":1", "a:", "::1:80", "[]:1"}) {
    EXPECT_THROW(check_address(bad), std::invalid_argument) << bad;
  }
  EXPECT_THROW(check_address("/" + std::string(200, 'x')), std::invalid_argument);
  EXPECT_THROW(listen_on("no such host.invalid:1"), std::system_error);
}

TEST_F(net_socket_test, a_file_that_a_dead_server_left) {
  {
    const os::unique_fd first = listen_on(path());
    EXPECT_THROW(listen_on(path()), std::system_error);  // it is alive
  }
  EXPECT_TRUE(std::filesystem::exists(path()));
  const os::unique_fd second = listen_on(path());
  const socket_file file = file_at(path());
  const os::unique_fd client = connect_to(path(), in(30s));
  EXPECT_TRUE(accept_from(second.get()));
  EXPECT_FALSE(accept_from(second.get()));
  EXPECT_EQ(errno, EAGAIN);
  std::filesystem::remove(path());
  std::ofstream(path()) << "not a socket";
  remove_file_at(path(), file);
  EXPECT_TRUE(std::filesystem::exists(path()));  // the file of another server
  EXPECT_THROW(listen_on(path()), std::system_error);
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(net_socket_test, deadlines) {
  const os::unique_fd server = listen_on("127.0.0.1:0");
  const os::unique_fd client = connect_to(bound_address(server.get(), "127.0.0.1:0"), in(30s));
  std::array<std::byte, 4> few{};
  EXPECT_EQ(receive_until(client.get(), few, in(20ms)), io_end::late);
  const std::string much(50'000'000, 'x');
  EXPECT_EQ(send_until(client.get(), std::as_bytes(std::span(much)), in(50ms)), io_end::late);
  end_stream(client.get());
  EXPECT_EQ(receive_until(client.get(), few, no_deadline), io_end::closed);
  EXPECT_EQ(send_until(client.get(), few, no_deadline), io_end::closed);
}

int option(int socket, int level, int name) {
  int value = -1;
  socklen_t size = sizeof(value);
  EXPECT_EQ(getsockopt(socket, level, name, &value, &size), 0);
  return value;
}

// What the kernel does about a machine that has vanished.
TEST_F(net_socket_test, peers_are_watched) {
  const os::unique_fd server = listen_on("127.0.0.1:0");
  const os::unique_fd client = connect_to(bound_address(server.get(), "127.0.0.1:0"), in(30s));
  watch_peer(client.get(), 30s);
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(client.get(), SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_KEEPIDLE), 15);
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_KEEPINTVL), 5);
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_USER_TIMEOUT), 30'000);
  const os::unique_fd local = listen_on(path());
  watch_peer(local.get(), 30s);  // nothing
}

// The queue of the listener is full until the server accepts.
TEST_F(net_socket_test, a_client_waits_until_the_server_accepts_connections) {
  const os::unique_fd server = listen_on(path());
  ASSERT_EQ(listen(server.get(), 1), 0);
  std::vector<os::unique_fd> waiting;
  try {
    for (int i = 0; i < 10; ++i) waiting.push_back(connect_to(path(), in(50ms)));
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
  }
  while (accept_from(server.get())) {
  }
  EXPECT_TRUE(connect_to(path(), in(30s)));
}

}  // namespace
}  // namespace procpool::remote
