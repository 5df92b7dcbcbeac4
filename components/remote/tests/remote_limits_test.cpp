// Limits of a procpool::remote_server, and connections without its key.
#include "procpool/remote.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "remote_fixture.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class remote_limits_test : public remote_test {};

TEST_F(remote_limits_test, messages_connections_and_objects_have_limits) {
  remote_server server({.address = path(),
                        .key = key,
                        .max_message = 10'000,
                        .max_connections = 4,
                        .max_objects = 3});
  expose_all(server);
  expose_accounts(server, std::make_shared<account>(1));
  server.expose("grow", [](std::size_t n) { return std::string(n, 'x'); });
  server.expose("fail at length",
                [](std::size_t n) { throw std::runtime_error(std::string(n, 'x')); });
  server.start();
  const auto client = make_client();
  EXPECT_THROW(client.call(length, std::string(10'000, 'x')), codec_error);
  EXPECT_THROW(client.call<std::string>("grow", std::size_t{10'000}), codec_error);
  EXPECT_THROW(client.call<void>("fail at length", std::size_t{20'000}), codec_error);
  EXPECT_EQ(client.call<std::string>("grow", std::size_t{9'000}).size(), 9'000u);
  std::vector<remote_proxy<account>> all;
  for (int i = 0; i < 3; ++i) all.push_back(client.make<account>("account", 1L));
  EXPECT_THROW((void)client.make<account>("account", 1L), procpool::error);
  all.pop_back();
  EXPECT_TRUE(eventually([&] { return server.count().objects == 2; }));
  EXPECT_TRUE(client.make<account>("account", 1L));
  const remote_client small({.address = path(), .key = key, .max_message = 2000});
  EXPECT_THROW(small.call<std::string>("grow", std::size_t{3000}), codec_error);
  // The connection whose answer was too long is closed, and a new connection finds a place.
  EXPECT_TRUE(eventually([&] { return server.count().connections == 3; }));
  EXPECT_EQ(small.call(length, "x"), 1u);
  EXPECT_THROW(make_client(), std::system_error);  // both clients have two connections
  EXPECT_EQ(client.call(product, 2, 4), 8);
}

// A connection of a program that knows the address and not the key.

class stranger {
 public:
  explicit stranger(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~stranger() { close(fd_); }
  stranger(const stranger&) = delete;
  stranger& operator=(const stranger&) = delete;
  void say(const std::string& bytes) const {
    EXPECT_EQ(send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // The number of bytes that the server sends before it hangs up.
  std::size_t heard() const {
    std::size_t all = 0;
    char bytes[256];
    for (ssize_t n = 0; (n = recv(fd_, bytes, sizeof(bytes), 0)) > 0;) {
      all += static_cast<std::size_t>(n);
    }
    return all;
  }

 private:
  int fd_;
};

TEST_F(remote_limits_test, clients_without_the_key_get_no_answer_and_are_disconnected) {
  // Time enough for a client on a machine that has much to do.
  remote_server server({.address = path(), .key = key, .handshake_timeout = 3s});
  expose_all(server);
  server.start();
  const std::string hello = std::string("procpool\1\1\0\0\0\0\0\0", 16) + std::string(32, 'n');
  {
    const stranger garbage(path()), guess(path()), silent(path()), half(path());
    garbage.say(std::string(100, 'x'));
    EXPECT_EQ(garbage.heard(), 0u);
    guess.say(hello + std::string(32, 'p'));
    EXPECT_EQ(guess.heard(), 48u);  // random bytes, and nothing more
    half.say(hello.substr(0, 20));
    call_all(make_client());  // meanwhile
    EXPECT_EQ(silent.heard(), 0u);
    EXPECT_EQ(half.heard(), 0u);
  }
  struct stat file{};
  EXPECT_EQ(::stat(path().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777U, 0600U);
}

// Strangers take at most half of the places, each until handshake_timeout.
TEST_F(remote_limits_test, many_clients_without_the_key_keep_no_client_out_for_long) {
  remote_server server(
      {.address = path(), .key = key, .max_connections = 12, .handshake_timeout = 300ms});
  expose_all(server);
  server.start();
  {
    std::vector<std::unique_ptr<stranger>> many;
    for (int i = 0; i < 20; ++i) many.push_back(std::make_unique<stranger>(path()));
    EXPECT_TRUE(eventually([&] { return server.count().connections == 0; }));
    for (const auto& s : many) EXPECT_EQ(s->heard(), 0u);
  }
  // A client that the machine does not run for so long is disconnected like a stranger.
  EXPECT_TRUE(eventually([&] {
    try {
      return make_client().call<pid_t>("pid") == getpid();
    } catch (const error&) {
      return false;
    }
  }));
}

}  // namespace
