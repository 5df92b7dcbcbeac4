// Calls of the functions of a procpool::remote_server, and the options and keys of both sides.
#include "procpool/remote.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include "remote_fixture.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class remote_calls_test : public remote_test {};

TEST_F(remote_calls_test, calls_by_tcp_and_by_unix_socket) {
  for (const std::string& address : {std::string("127.0.0.1:0"), path(), std::string("[::1]:0")}) {
    try {
      remote_server server({.address = address, .key = key});
      expose_all(server);
      server.start();
      call_all(remote_client({.address = server.address(), .key = key}));
      server.stop();
      server.stop();
    } catch (const std::system_error&) {
      if (address[0] != '[') throw;  // no IPv6 here
    }
  }
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(remote_calls_test, an_unexposed_function_or_signature_cannot_be_called) {
  auto server = make_server();
  expose_all(server);
  server.start();
  EXPECT_THROW(server.expose("late", [] {}), invalid_state_error);
  EXPECT_THROW(server.start(), invalid_state_error);
  const auto client = make_client();
  EXPECT_THROW(client.call<void>("missing"), codec_error);
  try {
    client.call<double>("product", 2, 3);  // ints
    FAIL();
  } catch (const codec_error& e) {
    EXPECT_NE(std::string(e.what()).find("f64 f64 -> f64"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("i32 i32 -> f64"), std::string::npos) << e.what();
  }
  EXPECT_THROW((void)client.make<int>("missing"), codec_error);
  EXPECT_THROW((void)client.find<int>("missing", "x"), codec_error);
  call_all(client);
}

TEST_F(remote_calls_test, invalid_options_are_refused) {
  const auto refused = [&](remote_server_options options) {
    try {
      const remote_server server(std::move(options));
      return false;
    } catch (const std::invalid_argument&) {
      return true;
    }
  };
  EXPECT_TRUE(refused({.address = path()}));
  EXPECT_TRUE(refused({.address = path(), .key = "fifteen letters"}));
  EXPECT_TRUE(refused({.address = "here", .key = key}));
  EXPECT_TRUE(refused({.address = "::1:70", .key = key}));
  EXPECT_TRUE(refused({.address = ":70", .key = key}));
  EXPECT_TRUE(refused({.address = "/" + std::string(200, 'x'), .key = key}));
  EXPECT_TRUE(refused({.address = path(), .key = key, .max_message = 0}));
  EXPECT_TRUE(refused({.address = path(), .key = key, .max_connections = 1}));
  EXPECT_TRUE(refused({.address = path(), .key = key, .max_objects = 0}));
  EXPECT_TRUE(refused({.address = path(), .key = key, .handshake_timeout = 0s}));
  EXPECT_TRUE(refused({.address = path(), .key = key, .stall_timeout = -1s}));
  EXPECT_THROW(remote_client({.address = path(), .key = "short"}), std::invalid_argument);
  EXPECT_THROW(remote_client({.address = path(), .key = key}), std::system_error);  // no server
  EXPECT_EQ(make_remote_key().size(), 64u);
  EXPECT_NE(make_remote_key(), make_remote_key());
  auto server = make_server();
  server.expose("f", [] {});
  EXPECT_THROW(server.expose("f", [] {}), std::invalid_argument);
  EXPECT_THROW(server.expose("", [] {}), std::invalid_argument);
  EXPECT_THROW(server.expose(std::string(257, 'n'), [] {}), std::invalid_argument);
}

TEST_F(remote_calls_test, a_client_with_another_key_is_refused) {
  auto server = make_server();
  expose_all(server);
  server.start();
  EXPECT_THROW(remote_client({.address = path(), .key = make_remote_key()}), authentication_error);
  EXPECT_EQ(server.count().clients, 0u);
  call_all(make_client());
}

TEST_F(remote_calls_test, call_timeout_ends_the_call_and_not_the_function) {
  tally arrived, gate;  // the function may still use them when the server ends
  auto server = make_server();
  server.expose("wait", [&] { return arrive_and_wait(arrived.path(), gate.path(), 1); });
  server.expose("quick", [] { return 2; });
  server.start();
  const remote_client client({.address = path(), .key = key, .call_timeout = 2s});
  EXPECT_THROW(client.call<int>("wait"), timeout_error);
  EXPECT_EQ(client.call<int>("quick"), 2);  // not the late answer
  gate.add();
}

TEST_F(remote_calls_test, a_client_times_out_at_a_server_that_is_not_started) {
  const auto server = make_server();
  EXPECT_THROW(remote_client({.address = path(), .key = key, .connect_timeout = 100ms}),
               timeout_error);
  auto other = remote_server({.address = "127.0.0.1:0", .key = key});
  EXPECT_THROW(remote_client({.address = other.address(), .key = key, .connect_timeout = 100ms}),
               timeout_error);
  other.request_stop();
  other.wait();
}

TEST_F(remote_calls_test, a_forked_copy_of_the_process_cannot_call) {
  auto server = make_server();
  expose_all(server);
  expose_accounts(server, std::make_shared<account>(1));
  server.start();
  const auto client = make_client();
  const auto object = client.make<account>("account", 1L);
  const pid_t copy = fork();
  if (copy == 0) {
    int code = 0;
    try {
      client.call<pid_t>("pid");
      code = 1;
    } catch (const nested_use_error&) {
    }
    try {
      server.stop();
      code += 2;
    } catch (const nested_use_error&) {
    }
    {
      const remote_client moved = std::move(client);
      const remote_server ended = std::move(server);
      const auto dropped = std::move(object);
    }
    _exit(code);
  }
  int status = -1;
  EXPECT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  call_all(client);
  EXPECT_EQ(object.call<long>("sum"), 1);
}

}  // namespace
