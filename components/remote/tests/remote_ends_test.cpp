// The end of a remote server or of its client: killed, or stopped while functions run.
#include "procpool/remote.hpp"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "remote_fixture.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class remote_ends_test : public remote_test {};

TEST_F(remote_ends_test, a_killed_client_leaves_no_object_and_no_connection) {
  auto server = make_server();
  const auto shared = std::make_shared<account>(0);
  expose_accounts(server, shared);
  server.start();
  tally ends, arrived, gate;
  process client(
      [](const std::string& where, const std::string& k, const std::string& e, const std::string& a,
         const std::string& g) {
        const remote_client c({.address = where, .key = k});
        const auto held = c.make<account>("account", 1L, e);
        c.find<account>("account", "shared").call<int>("wait", a, g);
      },
      path(), key, ends.path(), arrived.path(), gate.path());
  await_tally(arrived.path(), 1);
  EXPECT_EQ(server.count().clients, 1u);
  client.kill();
  client.join();
  EXPECT_TRUE(eventually([&] { return ends.count() == 1; }));
  gate.add();  // the method that the client has called returns, and the next call runs
  EXPECT_EQ(make_client().find<account>("account", "shared").call(pay, 1), 1);
  EXPECT_TRUE(eventually([&] { return server.count().connections == 0; }));
  EXPECT_EQ(server.count().clients, 0u);
}

void serve(const std::string& where, const std::string& k, const std::string& arrived,
           const std::string& gate, const std::string& ready) {
  remote_server server({.address = where, .key = k});
  server.expose("wait", [=] { return arrive_and_wait(arrived, gate, 3); });
  server.expose("stop", [&] { server.request_stop(); });
  server.start();
  add_to_tally(ready);
  server.wait();
}

TEST_F(remote_ends_test, a_new_server_takes_the_address_of_a_killed_one_but_not_its_clients) {
  tally arrived, gate, ready;
  process first(serve, path(), key, arrived.path(), gate.path(), ready.path());
  await_tally(ready.path(), 1);
  const auto client = make_client();
  std::thread caller([&] { EXPECT_THROW(client.call<int>("wait"), manager_lost_error); });
  await_tally(arrived.path(), 1);
  first.kill();
  caller.join();
  EXPECT_THROW(client.call<int>("wait"), manager_lost_error);
  EXPECT_TRUE(std::filesystem::exists(path()));  // a killed server does not remove it
  process second(serve, path(), key, arrived.path(), gate.path(), ready.path());
  await_tally(ready.path(), 2);
  EXPECT_THROW(client.call<int>("wait"), manager_lost_error);  // a client of the first server only
  gate.add();
  EXPECT_EQ(make_client().call<int>("wait"), 3);
  try {
    make_client().call<void>("stop");
  } catch (const manager_lost_error&) {
    // The end of the connection was quicker than the answer.
  }
  EXPECT_TRUE(second.join_for(30s));
  EXPECT_EQ(second.exit_code(), 0);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(remote_ends_test, stop_waits_for_running_functions) {
  auto server = make_server();
  tally arrived, gate;
  std::atomic<bool> ran{false};
  server.expose("wait", [&] {
    arrive_and_wait(arrived.path(), gate.path(), 0);
    ran = true;
  });
  server.expose("stop", [&] { server.stop(); });
  server.start();
  const auto client = make_client();
  EXPECT_THROW(client.call<void>("stop"), invalid_state_error);
  std::thread caller([&] { EXPECT_THROW(client.call<void>("wait"), manager_lost_error); });
  await_tally(arrived.path(), 1);
  std::vector<std::thread> ends;
  for (int i = 0; i < 3; ++i) {
    ends.emplace_back([&] {
      server.stop();
      EXPECT_TRUE(ran);
    });
  }
  caller.join();  // at once
  gate.add();
  for (std::thread& t : ends) t.join();
  EXPECT_EQ(server.count().connections, 0u);
  EXPECT_THROW(server.start(), invalid_state_error);
}

}  // namespace
