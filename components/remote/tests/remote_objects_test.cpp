// Objects of a procpool::remote_server, and their proxies in clients.
#include "procpool/remote.hpp"

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

class remote_objects_test : public remote_test {};

TEST_F(remote_objects_test, proxies_call_objects_of_one_client_and_of_all) {
  auto server = make_server();
  const auto shared = std::make_shared<account>(100);
  expose_accounts(server, shared);
  server.start();
  const auto client = make_client();
  tally ends;
  {
    const auto mine = client.make<account>("account", 5L);
    const auto copy = mine;
    EXPECT_EQ(copy.call(pay, 2), 7);
    EXPECT_EQ(mine.call<long>("sum"), 7);
    EXPECT_THROW(mine.call<long>("missing"), codec_error);
    const auto noted = client.make<account>("account", 1L, ends.path());
    EXPECT_EQ(server.count().objects, 2u);
  }
  EXPECT_TRUE(eventually([&] { return ends.count() == 1; }));
  EXPECT_TRUE(eventually([&] { return server.count().objects == 0; }));
  const auto other = make_client();
  EXPECT_EQ(client.find<account>("account", "shared").call(pay, 1), 101);
  EXPECT_EQ(other.find<account>("account", "shared").call<long>("sum"), 101);
  EXPECT_EQ(shared->sum(), 101);
  EXPECT_THROW((void)client.find<account>("account", "missing"), codec_error);
  EXPECT_THROW((void)client.make<account>("account", "text"), codec_error);
  EXPECT_THROW(remote_proxy<account>().call<long>("sum"), invalid_state_error);
}

TEST_F(remote_objects_test, an_object_runs_one_call_at_a_time) {
  auto server = make_server();
  const auto shared = std::make_shared<account>(0);
  expose_accounts(server, shared);
  server.start();
  const auto client = make_client();
  const auto proxy = client.find<account>("account", "shared");
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&] {
      const auto own = client.find<account>("account", "shared");
      for (int i = 0; i < 50; ++i) (i % 2 == 0 ? own : proxy).call(pay, 1);
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(shared->sum(), 300);
}

// The types list the same object, each with methods of its own; both use the object's one lock.
TEST_F(remote_objects_test, an_object_of_two_types_has_the_methods_of_each) {
  auto server = make_server();
  const auto shared = std::make_shared<account>(0);
  server.type<account>("payer").method(pay, &account::pay).object("shared", shared);
  server.type<account>("reader").method("sum", &account::sum).object("shared", shared);
  server.start();
  const auto client = make_client();
  const auto payer = client.find<account>("payer", "shared");
  const auto reader = client.find<account>("reader", "shared");
  EXPECT_EQ(payer.call(pay, 4), 4);
  EXPECT_EQ(reader.call<long>("sum"), 4);
  EXPECT_THROW(payer.call<long>("sum"), codec_error);
  EXPECT_THROW(reader.call(pay, 1), codec_error);
}

// Workers are clients, and the server's function calls an object of a local manager.
TEST_F(remote_objects_test, tasks_call_a_server_whose_function_calls_a_manager) {
  manager m;
  const auto sum = m.make<long>(0);
  auto server = make_server();
  server.expose("add", [sum](long x) { return sum.call(add, x); });
  server.start();
  process_pool_executor pool(3);
  std::vector<future<void>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(pool.submit(
        [](const std::string& where, const std::string& k) {
          const remote_client client({.address = where, .key = k});
          for (int n = 0; n < 20; ++n) client.call<long>("add", 1L);
        },
        path(), key));
  }
  for (auto& f : all) f.get();
  EXPECT_EQ(sum.call(add, 0), 120);
  EXPECT_TRUE(eventually([&] { return server.count().connections == 0; }));
}

}  // namespace
