// procpool::manager and proxies: calls from everywhere, lifetimes, and what happens when one of the
// sides dies.
#include "procpool/manager.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/names.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

using counts = std::map<std::string, int>;

long add(long& sum, long x) { return sum += x; }
void count(counts& c, const std::string& word) { ++c[word]; }
int read_count(const counts& c, const std::string& word) { return c.at(word); }

class manager_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();
    manager m;
    m.make<long>(1).call(add, 1);
    leak_free_test::SetUp();
  }
};

TEST_F(manager_test, calls) {
  manager m;
  const proxy<long> sum = m.make<long>(40);
  EXPECT_EQ(sum.call(add, 2), 42);
  EXPECT_NE(m.pid(), getpid());
  const auto words = m.make<counts>();
  words.call(count, "a");  // a literal travels as a string
  words.call(count, std::string("a"));
  EXPECT_EQ(words.call(read_count, "a"), 2);
  EXPECT_EQ(words.call(&counts::size), 1u);  // a member function
  EXPECT_EQ(words.call([](const counts&) { return getpid(); }), m.pid());
  const auto copy = words.call([](const counts& c) { return std::make_unique<counts>(c); });
  EXPECT_EQ(copy->at("a"), 2);
}

// One that could not travel, and that notes its end.
class noted {
 public:
  explicit noted(std::string path) : path_(std::move(path)) {}
  noted(const noted&) = delete;
  noted& operator=(const noted&) = delete;
  ~noted() { add_to_tally(path_); }
  int length() const { return static_cast<int>(path_.size()); }

 private:
  std::string path_;
};

TEST_F(manager_test, objects_of_any_type) {
  tally destroyed;
  {
    manager m;
    const auto object = m.make<noted>(destroyed.path());
    EXPECT_EQ(object.call(&noted::length), static_cast<int>(destroyed.path().size()));
    EXPECT_EQ(destroyed.count(), 0);
  }
  EXPECT_EQ(destroyed.count(), 1);  // by a manager that ends in order
}

TEST_F(manager_test, exceptions) {
  manager m;
  const auto words = m.make<counts>();
  try {
    words.call(read_count, "missing");
    FAIL();
  } catch (const std::out_of_range& e) {
    const auto& nested = dynamic_cast<const std::nested_exception&>(e);
    try {
      nested.rethrow_nested();
    } catch (const remote_error& where) {
      EXPECT_EQ(where.where(), "process " + std::to_string(m.pid()));
    }
  }
  struct unknown {};
  EXPECT_THROW(words.call([](counts&) { throw unknown(); }), remote_error);
  struct refuses {
    explicit refuses(int) { throw std::length_error("no"); }
  };
  EXPECT_THROW((void)m.make<refuses>(1), std::length_error);
  words.call(count, "works");
}

void count_many(const proxy<counts>& words, const proxy<long>& sum, const std::string& word,
                int n) {
  for (int i = 0; i < n; ++i) {
    words.call(count, word);
    sum.call(add, 1);
  }
}

TEST_F(manager_test, eight_workers_share_a_counter_and_a_map) {
  manager m;
  const auto words = m.make<counts>();
  const auto sum = m.make<long>(0);
  process_pool_executor pool(8);
  std::vector<future<void>> all;
  for (int i = 0; i < 8; ++i) {
    all.push_back(pool.submit(count_many, words, sum, i % 2 == 0 ? "even" : "odd", 100));
  }
  for (auto& f : all) f.get();
  EXPECT_EQ(sum.call(add, 0), 800);
  EXPECT_EQ(words.call(read_count, "even"), 400);
  EXPECT_EQ(words.call(read_count, "odd"), 400);
}

TEST_F(manager_test, many_threads_of_one_process_call_a_manager) {
  manager m;
  const auto sum = m.make<long>(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 10; ++t) {
    threads.emplace_back([sum] {
      for (int i = 0; i < 50; ++i) sum.call(add, 1);
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(sum.call(add, 0), 500);
}

TEST_F(manager_test, proxies_in_processes_and_results) {
  manager m;
  auto sum = m.make<long>(0);
  process p([](const proxy<long>& s) { s.call(add, 5); }, sum);
  p.join();
  EXPECT_EQ(p.exit_code(), 0);
  process_pool_executor pool(1);
  const auto same = pool.submit([](proxy<long> s) { return s; }, sum).get();
  EXPECT_TRUE(same == sum);
  sum = {};
  EXPECT_EQ(same.call(add, 0), 5);
}

using shelf = std::map<std::string, proxy<long>>;
void put_on(shelf& s, const std::string& name, const proxy<long>& p) { s[name] = p; }
proxy<long> take_from(const shelf& s, const std::string& name) { return s.at(name); }

TEST_F(manager_test, nested_proxies) {
  manager m;
  const auto shelves = m.make<shelf>();
  {
    const auto sum = m.make<long>(3);
    shelves.call(put_on, "sum", sum);
  }
  // Only the manager holds it now; a call from within, and one by way of a worker.
  EXPECT_EQ(shelves.call([](shelf& s) { return s.at("sum").call(add, 4); }), 7);
  process_pool_executor pool(2);
  EXPECT_EQ(pool.submit([](const proxy<shelf>& s) { return s.call(take_from, "sum").call(add, 1); },
                        shelves)
                .get(),
            8);
  EXPECT_EQ(shelves.call(take_from, "sum").call(add, 0), 8);
}

TEST_F(manager_test, a_call_into_the_object_itself) {
  manager m;
  const auto sum = m.make<long>(3);
  EXPECT_EQ(sum.call([](long&, const proxy<long>& self) { return self.call(add, 1); }, sum), 4);
}

// Handles that go from worker to worker through the manager, while no other process holds the
// objects and the program looks for what it can free.
TEST_F(manager_test, handles_in_queued_arguments_keep_objects) {
  manager m;
  const auto shelves = m.make<shelf>();
  process_pool_executor pool(4);
  tally made;
  for (int round = 0; round < 20; ++round) {
    auto stored = pool.submit([](const proxy<shelf>& s, const proxy<long>& p,
                                 const std::string& name) { s.call(put_on, name, p); },
                              shelves, m.make<long>(round), std::to_string(round));
    auto moved = pool.submit(
        [](const proxy<shelf>& s, const std::string& name) {
          for (;;) {
            try {
              return s.call(take_from, name).call(add, 0);
            } catch (const std::out_of_range&) {
              continue;  // not there yet
            }
          }
        },
        shelves, std::to_string(round));
    stored.get();
    EXPECT_EQ(moved.get(), round);
    EXPECT_EQ(shelves.call([](shelf& s, const std::string& name) { return s.erase(name); },
                           std::to_string(round)),
              1u);
  }
}

TEST_F(manager_test, the_last_proxy_ends_the_object) {
  manager m;
  tally destroyed;
  {
    const auto object = m.make<noted>(destroyed.path());
    const auto copy = object;
    EXPECT_GT(copy.call(&noted::length), 0);
  }
  EXPECT_TRUE(eventually([&] { return destroyed.count() == 1; }));
}

TEST_F(manager_test, a_queued_argument_keeps_the_object) {
  manager m;
  tally gate, destroyed;
  process_pool_executor pool(1);
  const auto first = pool.submit(await_tally, gate.path(), 1);
  auto object = m.make<noted>(destroyed.path());
  auto queued = pool.submit([](const proxy<noted>& o) { return o.call(&noted::length); }, object);
  object = {};
  gate.add();
  EXPECT_GT(queued.get(), 0);
  EXPECT_TRUE(eventually([&] { return destroyed.count() == 1; }));
}

TEST_F(manager_test, a_killed_client_keeps_no_object) {
  manager m;
  tally destroyed, ready, gate;
  auto object = m.make<noted>(destroyed.path());
  process client(
      [](const proxy<noted>& o, const std::string& arrived, const std::string& go) {
        o.call([](noted&, const std::string& a, const std::string& g) { arrive_and_wait(a, g, 0); },
               arrived, go);
      },
      object, ready.path(), gate.path());
  await_tally(ready.path(), 1);
  client.kill();
  client.join();
  gate.add();
  EXPECT_GT(object.call(&noted::length), 0);  // the call has ended, and its lock with it
  object = {};
  EXPECT_TRUE(eventually([&] { return destroyed.count() == 1; }));
}

TEST_F(manager_test, a_killed_manager) {
  manager m;
  tally ready, gate;
  const auto sum = m.make<long>(0);
  process_pool_executor pool(1);
  auto waiting = pool.submit(
      [](const proxy<long>& s, const std::string& a, const std::string& g) {
        return s.call([](long&, const std::string& a2,
                         const std::string& g2) { return arrive_and_wait(a2, g2, 0); },
                      a, g);
      },
      sum, ready.path(), gate.path());
  await_tally(ready.path(), 1);
  ::kill(m.pid(), SIGKILL);
  EXPECT_THROW(waiting.get(), manager_lost_error);
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
  EXPECT_THROW(pool.submit([](const proxy<long>& s) { s.call(add, 1); }, sum).get(),
               manager_lost_error);
  EXPECT_TRUE(eventually([&] { return !m.is_alive(); }));
  EXPECT_THROW((void)m.make<long>(1), manager_lost_error);
}

TEST_F(manager_test, a_call_that_ends_the_manager) {
  manager m;
  const auto sum = m.make<long>(0);
  EXPECT_THROW(sum.call([](long&) { _exit(3); }), manager_lost_error);
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
}

TEST_F(manager_test, proxies_outlive_the_manager) {
  proxy<long> sum;
  EXPECT_FALSE(sum);
  EXPECT_THROW(sum.call(add, 1), invalid_state_error);
  {
    manager m;
    sum = m.make<long>(1);
    manager other = std::move(m);
    EXPECT_THROW((void)m.pid(), invalid_state_error);
    EXPECT_EQ(sum.call(add, 1), 2);
    other.shutdown();
    other.shutdown();
    EXPECT_FALSE(other.is_alive());
  }
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
}

TEST_F(manager_test, shared_arrays_and_large_values) {
  manager m;
  const auto kept = m.make<shared_array<int>>();
  {
    shared_array<int> array(1000);
    array[7] = 7;
    kept.call([](shared_array<int>& to, const shared_array<int>& from) { to = from; }, array);
  }
  const shared_array<int> back = kept.call([](const shared_array<int>& a) { return a; });
  EXPECT_EQ(back[7], 7);
  // What a manager makes cannot be known to the program, and does not leave it.
  EXPECT_THROW(kept.call([](shared_array<int>&) { return shared_array<int>(10); }), codec_error);
  const auto text = m.make<std::string>();
  const std::string large(5'000'000, 'x');
  text.call([](std::string& to, std::string_view from) { to = from; }, large);
  EXPECT_EQ(text.call([](const std::string& s) { return s; }), large);
}

TEST_F(manager_test, interrupts_are_for_the_program) {
  manager m;
  const auto sum = m.make<long>(0);
  ::kill(m.pid(), SIGINT);
  EXPECT_EQ(sum.call(add, 1), 1);
}

TEST_F(manager_test, a_process_that_was_forked_cannot_call) {
  manager m;
  const auto sum = m.make<long>(0);
  sum.call(add, 1);
  const pid_t copy = fork();
  if (copy == 0) {
    int code = 1;
    try {
      sum.call(add, 1);
    } catch (const nested_use_error&) {
      code = 0;
    }
    m.shutdown();  // has no effect
    _exit(code);
  }
  int status = -1;
  EXPECT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(sum.call(add, 1), 2);
}

TEST_F(manager_test, a_manager_that_is_a_copy_of_the_program) {
  const auto methods = start_methods();
  if (std::find(methods.begin(), methods.end(), start_method::fork) == methods.end()) {
    GTEST_SKIP() << "no fork here";
  }
  static int global = 1;
  global = 2;  // a copy of this process knows, a fresh one does not
  manager m({.start = start_method::fork, .name = "copy"});
  manager other;
  const auto get = [](long&) { return global; };
  EXPECT_EQ(m.make<long>(0).call(get), 2);
  EXPECT_EQ(other.make<long>(0).call(get), 1);
}

// What a process that knows only the name writes. True if the manager hangs up.
bool hangs_up_on(const std::string& name, const std::string& bytes) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  bool hung_up = connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0;
  hung_up = hung_up && send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                           static_cast<ssize_t>(bytes.size());
  char c = 0;
  hung_up = hung_up && recv(fd, &c, 1, 0) <= 0;
  close(fd);
  return hung_up;
}

TEST_F(manager_test, strangers_are_turned_away) {
  manager m;
  const auto sum = m.make<long>(0);
  const std::string name = socket_name_of_manager(m.pid());
  ASSERT_FALSE(name.empty());
  EXPECT_TRUE(hangs_up_on(name, std::string(16, '\0')));
  EXPECT_TRUE(hangs_up_on(name, std::string(4096, 'x')));
  EXPECT_EQ(sum.call(add, 1), 1);
}

}  // namespace
