// procpool::remote_server and remote_client: calls, objects, limits, and what happens when one of
// the sides dies, is somebody else, or says anything.
#include "procpool/remote.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

const std::string key = "a key of the tests, 32 bytes or so";

long add(long& sum, long x) { return sum += x; }

// A folder for the sockets of one test.
class remote_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();
    manager m;
    m.make<long>(1).call(add, 1);
    remote_server server({.address = "127.0.0.1:0", .key = key});  // OpenSSL has begun
    server.start();
    const remote_client client({.address = server.address(), .key = key});
    leak_free_test::SetUp();
    folder_ = ::testing::TempDir() + "procpool-remote-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    leak_free_test::TearDown();
  }
  std::string path() const { return folder_ + "/socket"; }
  remote_server make_server() const { return remote_server({.address = path(), .key = key}); }
  remote_client make_client() const { return remote_client({.address = path(), .key = key}); }

 private:
  std::string folder_;
};

inline constexpr remote_function<double(double, double)> product{"product"};
inline constexpr remote_function<std::size_t(std::string_view)> length{"length"};

struct point {
  int x, y;
  friend bool operator==(const point&, const point&) = default;
};
point mirrored(point p) { return {p.y, p.x}; }

void expose_all(remote_server& server) {
  server.expose(product, [](double a, double b) { return a * b; });
  server.expose(length, [](std::string_view s) { return s.size(); });
  server.expose<&mirrored>("mirrored");
  server.expose(
      "sum", [](std::span<const int> all) { return std::accumulate(all.begin(), all.end(), 0); });
  server.expose("fail", [](const std::string& text) { throw std::out_of_range(text); });
  server.expose("unknown", [] {
    struct unknown {};
    throw unknown();
  });
  server.expose("take", [](std::unique_ptr<int> p) { return p; });
  server.expose("pid", [] { return getpid(); });
}

void call_all(const remote_client& client) {
  EXPECT_EQ(client.call(product, 2, 3.5f), 7.0);  // converted
  EXPECT_EQ(client.call(length, "four"), 4u);
  EXPECT_EQ(client.call<point>("mirrored", point{1, 2}), (point{2, 1}));
  EXPECT_EQ(client.call<int>("sum", std::vector{1, 2, 3}), 6);
  EXPECT_EQ(*client.call<std::unique_ptr<int>>("take", std::make_unique<int>(5)), 5);
  EXPECT_EQ(client.call(length, std::string(5'000'000, 'x')), 5'000'000u);
  EXPECT_EQ(client.call<pid_t>("pid"), getpid());
  EXPECT_THROW(client.call<void>("unknown"), remote_error);
  try {
    client.call<void>("fail", "no such thing");
    FAIL();
  } catch (const std::out_of_range& e) {
    EXPECT_STREQ(e.what(), "no such thing");
  }
}

TEST_F(remote_test, calls_by_tcp_and_by_unix_socket) {
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

TEST_F(remote_test, what_is_not_exposed_cannot_be_called) {
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

TEST_F(remote_test, options_that_make_no_sense) {
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
  EXPECT_THROW(remote_client({.address = path(), .key = key}), std::system_error);  // nobody
  EXPECT_EQ(make_remote_key().size(), 64u);
  EXPECT_NE(make_remote_key(), make_remote_key());
  auto server = make_server();
  server.expose("f", [] {});
  EXPECT_THROW(server.expose("f", [] {}), std::invalid_argument);
  EXPECT_THROW(server.expose("", [] {}), std::invalid_argument);
  EXPECT_THROW(server.expose(std::string(257, 'n'), [] {}), std::invalid_argument);
}

TEST_F(remote_test, another_key) {
  auto server = make_server();
  expose_all(server);
  server.start();
  EXPECT_THROW(remote_client({.address = path(), .key = make_remote_key()}), authentication_error);
  EXPECT_EQ(server.count().clients, 0u);
  call_all(make_client());
}

// --- objects
// -----------------------------------------------------------------------------------

class account {
 public:
  explicit account(long sum, std::string ends = {}) : sum_(sum), ends_(std::move(ends)) {}
  account(const account&) = delete;
  account& operator=(const account&) = delete;
  ~account() {
    if (!ends_.empty()) add_to_tally(ends_);
  }
  long pay(long x) {
    const long old = sum_;
    std::this_thread::yield();
    return sum_ = old + x;  // torn, if two were here at once
  }
  long sum() const { return sum_; }

 private:
  long sum_;
  std::string ends_;
};
inline constexpr remote_function<long(long)> pay{"pay"};

void expose_accounts(remote_server& server, const std::shared_ptr<account>& shared) {
  server.type<account>("account")
      .constructor<long>()
      .constructor<long, std::string>()
      .method(pay, &account::pay)
      .method("sum", &account::sum)
      .method("wait", [](account&, const std::string& a,
                         const std::string& g) { return arrive_and_wait(a, g, 7); })
      .object("shared", shared);
}

TEST_F(remote_test, objects) {
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

TEST_F(remote_test, one_call_at_a_time_on_an_object) {
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

// Workers as clients, and objects of a local manager behind the server's functions.
TEST_F(remote_test, tasks_are_clients_and_local_managers_servers) {
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

// --- ends
// -----------------------------------------------------------------------------------

TEST_F(remote_test, a_client_that_is_killed_leaves_nothing) {
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
  gate.add();  // what it has called runs to its end, and the next one comes
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

TEST_F(remote_test, a_server_that_is_killed_and_its_successor) {
  tally arrived, gate, ready;
  process first(serve, path(), key, arrived.path(), gate.path(), ready.path());
  await_tally(ready.path(), 1);
  const auto client = make_client();
  std::thread caller([&] { EXPECT_THROW(client.call<int>("wait"), manager_lost_error); });
  await_tally(arrived.path(), 1);
  first.kill();
  caller.join();
  EXPECT_THROW(client.call<int>("wait"), manager_lost_error);
  EXPECT_TRUE(std::filesystem::exists(path()));  // nobody was there to remove it
  process second(serve, path(), key, arrived.path(), gate.path(), ready.path());
  await_tally(ready.path(), 2);
  EXPECT_THROW(client.call<int>("wait"), manager_lost_error);  // it is not the first one's client
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

TEST_F(remote_test, stop_waits_for_what_runs) {
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

TEST_F(remote_test, call_timeout) {
  tally arrived, gate;  // the function may still look at them
  auto server = make_server();
  server.expose("wait", [&] { return arrive_and_wait(arrived.path(), gate.path(), 1); });
  server.expose("quick", [] { return 2; });
  server.start();
  const remote_client client({.address = path(), .key = key, .call_timeout = 2s});
  EXPECT_THROW(client.call<int>("wait"), timeout_error);
  EXPECT_EQ(client.call<int>("quick"), 2);  // not the late answer
  gate.add();
}

TEST_F(remote_test, servers_that_nobody_starts) {
  const auto server = make_server();
  EXPECT_THROW(remote_client({.address = path(), .key = key, .connect_timeout = 100ms}),
               timeout_error);
  auto other = remote_server({.address = "127.0.0.1:0", .key = key});
  EXPECT_THROW(remote_client({.address = other.address(), .key = key, .connect_timeout = 100ms}),
               timeout_error);
  other.request_stop();
  other.wait();
}

TEST_F(remote_test, a_process_that_was_forked_cannot_call) {
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

// --- limits and strangers
// -----------------------------------------------------------------------------------

TEST_F(remote_test, limits) {
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
  // The connection whose answer was too long has gone, and another one may come.
  EXPECT_TRUE(eventually([&] { return server.count().connections == 3; }));
  EXPECT_EQ(small.call(length, "x"), 1u);
  EXPECT_THROW(make_client(), std::system_error);  // two of each are there
  EXPECT_EQ(client.call(product, 2, 4), 8);
}

// A connection of somebody who knows the address.
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
  // How much it hears until the server hangs up.
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

TEST_F(remote_test, strangers_hear_nothing_and_take_no_place_for_long) {
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

// More than there are places: strangers get half of them, each until its time is over.
TEST_F(remote_test, many_strangers) {
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
  // A client that the machine does not let run for so long is a stranger, too.
  EXPECT_TRUE(eventually([&] {
    try {
      return make_client().call<pid_t>("pid") == getpid();
    } catch (const error&) {
      return false;
    }
  }));
}

}  // namespace
