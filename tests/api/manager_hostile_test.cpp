// What could hang a manager, leak in it, lose a call or crash it: ends at the wrong moment,
// destructors that block, clients that are short of memory, forks, cycles.
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "os/sanitizers.hpp"
#include "os/unique_fd.hpp"
#include "procpool/manager.hpp"
#include "support/few_descriptors.hpp"
#include "support/names.hpp"
#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

long add(long& sum, long x) { return sum += x; }

class manager_hostile_test : public leak_free_test {
 protected:
  void SetUp() override {
    process_pool_executor(1).submit([] {}).get();
    manager m;
    m.make<long>(1).call(add, 1);
    leak_free_test::SetUp();
  }
};

// Its end takes as long as the test wants.
class lingering {
 public:
  lingering(std::string arrived, std::string gate)
      : arrived_(std::move(arrived)), gate_(std::move(gate)) {}
  lingering(const lingering&) = delete;
  lingering& operator=(const lingering&) = delete;
  ~lingering() { arrive_and_wait(arrived_, gate_, 0); }

 private:
  std::string arrived_, gate_;
};

TEST_F(manager_hostile_test, a_destructor_that_blocks_keeps_no_client_out) {
  manager m;
  tally arrived, gate;
  const auto sum = m.make<long>(0);
  {
    const auto slow = m.make<lingering>(arrived.path(), gate.path());
  }
  await_tally(arrived.path(), 1);
  // A new connection, from a process of its own.
  process client([](const proxy<long>& s) { s.call(add, 5); }, sum);
  EXPECT_TRUE(client.join_for(30s));
  EXPECT_EQ(client.exit_code(), 0);
  EXPECT_EQ(sum.call(add, 0), 5);
  gate.add();
}

TEST_F(manager_hostile_test, a_call_that_arrives_while_the_manager_ends) {
  manager m;
  tally arrived, gate;
  const auto sum = m.make<long>(0);
  const auto slow = m.make<lingering>(arrived.path(), gate.path());
  std::thread end([&] { m.shutdown(); });
  await_tally(arrived.path(), 1);
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);  // does not wait for the destructor
  gate.add();
  end.join();
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
}

TEST_F(manager_hostile_test, shutdown_by_many_threads_while_others_call) {
  manager m;
  const auto sum = m.make<long>(0);
  std::atomic<int> lost{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      try {
        for (;;) sum.call(add, 1);
      } catch (const manager_lost_error&) {
        ++lost;
      }
    });
  }
  EXPECT_TRUE(eventually([&] { return sum.call(add, 0) > 50; }));
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { m.shutdown(); });
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(lost, 6);
  EXPECT_FALSE(m.is_alive());
}

TEST_F(manager_hostile_test, managers_are_moved_and_replaced) {
  for (int i = 0; i < 5; ++i) {
    manager a;
    const auto sum = a.make<long>(i);
    manager b = std::move(a);
    a = manager();
    EXPECT_EQ(sum.call(add, 1), i + 1);
    b = std::move(a);  // ends the first one
    EXPECT_THROW(sum.call(add, 1), manager_lost_error);
    EXPECT_EQ(b.make<long>(1).call(add, 1), 2);
  }
}

std::size_t address_space() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// The answer does not fit into the caller's memory: the rest of it is on the connection still.
void call_without_memory(const proxy<std::string>& text) {
  const long length = text.call([](std::string& s) { return static_cast<long>(s.size()); });
  rlimit limit{};
  getrlimit(RLIMIT_AS, &limit);
  const rlim_t usual = limit.rlim_cur;
  limit.rlim_cur = address_space() + (std::size_t{48} << 20U);
  setrlimit(RLIMIT_AS, &limit);
  bool failed = false;
  try {
    text.call([](const std::string& s) { return s; });
  } catch (const std::bad_alloc&) {
    failed = true;
  }
  limit.rlim_cur = usual;
  setrlimit(RLIMIT_AS, &limit);
  if (!failed) _exit(2);
  for (int i = 0; i < 3; ++i) {
    if (text.call([](std::string& s) { return static_cast<long>(s.size()); }) != length) _exit(3);
  }
}

TEST_F(manager_hostile_test, a_caller_without_memory_for_the_answer) {
  if (os::address_sanitizer || os::thread_sanitizer) GTEST_SKIP() << "its shadow has no limit";
  manager m;
  const auto text = m.make<std::string>(std::size_t{128} << 20U, 'x');
  process client(call_without_memory, text);
  client.join();
  EXPECT_EQ(client.exit_code(), 0);
}

long resident_pages(const std::string&) {
  long all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident;
}

TEST_F(manager_hostile_test, a_large_argument_takes_no_memory_after_the_call) {
  if (os::address_sanitizer || os::thread_sanitizer) GTEST_SKIP() << "it keeps freed memory";
  manager m;
  const auto text = m.make<std::string>();
  const long before = text.call(resident_pages);
  const std::string large(std::size_t{64} << 20U, 'x');
  text.call([](std::string&, std::string_view) {}, large);
  const long after = text.call(resident_pages);
  EXPECT_LT((after - before) * sysconf(_SC_PAGESIZE), long{16} << 20);
}

TEST_F(manager_hostile_test, a_copy_of_the_manager_keeps_no_caller_waiting) {
  if (os::thread_sanitizer) GTEST_SKIP() << "no copy of a process with threads";
  manager m;
  tally arrived, gate;
  const auto sum = m.make<long>(0);
  const pid_t copy = sum.call([](long&) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) pause();
    }
    return child;
  });
  ASSERT_GT(copy, 0);
  process_pool_executor pool(1);
  auto waiting = pool.submit(
      [](const proxy<long>& s, const std::string& a, const std::string& g) {
        return s.call([](long&, const std::string& a2,
                         const std::string& g2) { return arrive_and_wait(a2, g2, 0); },
                      a, g);
      },
      sum, arrived.path(), gate.path());
  await_tally(arrived.path(), 1);
  ::kill(m.pid(), SIGKILL);
  EXPECT_THROW(waiting.get_for(30s), manager_lost_error);
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
  gate.add();
  ::kill(copy, SIGKILL);
}

TEST_F(manager_hostile_test, a_manager_that_another_manager_needs_is_killed) {
  manager front, back;
  const auto sum = back.make<long>(1);
  const auto holder = front.make<std::vector<proxy<long>>>();
  const auto ask = [](std::vector<proxy<long>>& v) { return v.at(0).call(add, 1); };
  holder.call([](std::vector<proxy<long>>& v, const proxy<long>& p) { v.push_back(p); }, sum);
  EXPECT_EQ(holder.call(ask), 2);
  ::kill(back.pid(), SIGKILL);
  EXPECT_THROW(holder.call(ask), manager_lost_error);
  EXPECT_EQ(holder.call([](const std::vector<proxy<long>>& v) { return v.size(); }), 1u);
}

struct node {
  explicit node(std::string path) : tally_path(std::move(path)) {}
  node(const node&) = delete;
  node& operator=(const node&) = delete;
  ~node() { add_to_tally(tally_path); }
  std::string tally_path;
  proxy<node> other;
};

// Objects that keep each other stay until the manager ends.
TEST_F(manager_hostile_test, objects_that_hold_each_other) {
  tally destroyed;
  {
    manager m;
    auto a = m.make<node>(destroyed.path());
    auto b = m.make<node>(destroyed.path());
    const auto set = [](node& n, const proxy<node>& p) { n.other = p; };
    a.call(set, b);
    b.call(set, a);
    b = {};
    // Calls and replies, three levels deep, on one thread of the manager.
    EXPECT_EQ(a.call([](node& n) {
      return n.other.call(
          [](node& m2) { return m2.other.call([](const node& n2) { return n2.tally_path; }); });
    }),
              destroyed.path());
    a.call([](node& n) { n.other = {}; });
    EXPECT_TRUE(eventually([&] { return destroyed.count() == 1; }));
    a.call(set, a);
    a = {};
  }
  EXPECT_EQ(destroyed.count(), 2);
}

int descriptors() { return os::open_fd_count(); }

TEST_F(manager_hostile_test, managers_that_have_ended_leave_no_descriptors_with_their_clients) {
  process_pool_executor pool(1);
  int before = 0;
  for (int i = 0; i < 12; ++i) {
    manager m;
    const auto sum = m.make<long>(0);
    pool.submit([](const proxy<long>& s) { s.call(add, 1); }, sum).get();
    if (i == 0) before = pool.submit(descriptors).get();
    EXPECT_LE(pool.submit(descriptors).get(), before + 1);
  }
}

TEST_F(manager_hostile_test, clients_that_have_ended_leave_no_threads_in_the_manager) {
  manager m;
  const auto sum = m.make<long>(0);
  const auto threads = [](long&) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
      int n = 0;
      if (word == "Threads:" && status >> n) return n;
    }
    return 0;
  };
  const auto open = [](long&) { return descriptors(); };
  const int threads_before = sum.call(threads), open_before = sum.call(open);
  std::vector<process> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(
        [](const proxy<long>& s, bool in_the_middle) {
          s.call(add, 1);
          if (in_the_middle) s.call([](long&, pid_t client) { ::kill(client, SIGKILL); }, getpid());
        },
        sum, i % 2 == 0);
  }
  for (process& p : clients) p.join();
  EXPECT_EQ(sum.call(add, 0), 6);
  EXPECT_TRUE(eventually([&] { return sum.call(threads) <= threads_before; }));
  EXPECT_LE(sum.call(open), open_before);
}

// An error at once that says what to do, and no thread that spins until it gives up.
TEST_F(manager_hostile_test, the_program_lacks_descriptors_for_a_manager) {
  bool made = false;
  int refused = 0;
  for (int spare = 0; spare < 16 && !made; ++spare) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t cpu = std::clock();
    std::string what;
    {
      const few_descriptors limit(spare);
      try {
        manager m;
        made = m.make<long>(1).call(add, 1) == 2;
      } catch (const std::system_error& e) {
        EXPECT_EQ(e.code().value(), EMFILE);
        what = e.what();
      }
    }
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 15s);
    EXPECT_LT(std::clock() - cpu, 5 * CLOCKS_PER_SEC);
    if (made) continue;
    ++refused;
    EXPECT_NE(what.find("RLIMIT_NOFILE"), what.npos) << what;
  }
  EXPECT_TRUE(made);
  EXPECT_GT(refused, 0);
}

using limited = std::optional<few_descriptors>;

void refused_by(const proxy<long>& sum) {
  try {
    sum.call(add, 0);
  } catch (const std::system_error& e) {
    const bool says_why = std::string(e.what()).find("RLIMIT_NOFILE") != std::string::npos;
    _exit(says_why && e.code().value() == EMFILE ? 0 : 2);
  }
  _exit(1);
}

TEST_F(manager_hostile_test, the_manager_lacks_descriptors_for_another_client) {
  manager m;
  const auto sum = m.make<long>(0);
  const auto limit = m.make<limited>();
  limit.call([](limited& l) { l.emplace(0); });
  const process client(refused_by, sum);
  EXPECT_TRUE(client.join_for(20s)) << "the client waits";
  EXPECT_EQ(client.exit_code(), 0);
  limit.call([](limited& l) { l.reset(); });
  const process next([](const proxy<long>& s) { s.call(add, 0); }, sum);
  EXPECT_TRUE(next.join_for(20s));
  EXPECT_EQ(next.exit_code(), 0);
}

TEST_F(manager_hostile_test, the_end_of_a_stopped_manager) {
  manager m;
  const auto sum = m.make<long>(0);
  ASSERT_EQ(::kill(m.pid(), SIGSTOP), 0);
  const auto begin = std::chrono::steady_clock::now();
  m.shutdown();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
  EXPECT_FALSE(m.is_alive());
  EXPECT_THROW(sum.call(add, 1), manager_lost_error);
}

// Runs it, and takes over what it leaves behind.
void expect_right(const char* program) {
  const int before = holdings::now().children;
  EXPECT_EQ(std::system(program), 0);
  EXPECT_TRUE(eventually([&] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return holdings::now().children <= before;
  }));
}

TEST_F(manager_hostile_test, a_manager_in_static_storage) {
  expect_right(PROCPOOL_TEST_PROGRAMS_DIR "/static_manager");
}

TEST_F(manager_hostile_test, a_program_that_drops_its_rights) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may become another user";
  expect_right(PROCPOOL_TEST_PROGRAMS_DIR "/dropped_rights");
}

TEST_F(manager_hostile_test, a_program_that_closes_all_descriptors) {
  expect_right(PROCPOOL_TEST_PROGRAMS_DIR "/closed_descriptors");
}

// Connects and says nothing, or half of the secret; the leak check looks for what is left.
TEST_F(manager_hostile_test, strangers_that_send_nothing) {
  manager m;
  const auto sum = m.make<long>(0);
  const std::string name = socket_name_of_manager(m.pid());
  ASSERT_FALSE(name.empty());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  std::vector<os::unique_fd> strangers;
  for (int i = 0; i < 50; ++i) {
    strangers.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int fd = strangers.back().get();
    ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    if (i % 2 == 0) {
      EXPECT_EQ(send(fd, "12345678", 8, MSG_NOSIGNAL), 8);
    }
  }
  process client([](const proxy<long>& s) { s.call(add, 5); }, sum);
  client.join();
  EXPECT_EQ(sum.call(add, 0), 5);
}

}  // namespace
