// procpool::process beyond what CPython's tests ask: captures, shared objects, what cannot be, and
// that nothing is left whatever happens.
#include "procpool/process.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "support/few_descriptors.hpp"
#include "support/process_fixture.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class process_test : public leak_free_test {
 protected:
  void SetUp() override {
    process(nothing).join();
    leak_free_test::SetUp();
  }
};

// Without ThreadSanitizer's own thread, which does not survive a fork of a process with others.
class copied_process_test : public process_test {
 protected:
  void SetUp() override {
    const auto methods = start_methods();
    if (std::find(methods.begin(), methods.end(), start_method::fork) == methods.end()) {
      GTEST_SKIP() << "no fork here";
    }
    process_test::SetUp();
  }
};

TEST_F(copied_process_test, captures_have_their_values_in_the_copy) {
  const std::vector<int> large(100'000, 2);
  int local = 40;
  auto owned = std::make_unique<int>(2);
  process p([&large, &local, owned = std::move(owned)] {
    local += *owned;  // in the copy
    _exit(local + (std::accumulate(large.begin(), large.end(), 0) == 200'000 ? 1 : 0));
  });
  p.join();
  EXPECT_EQ(p.exit_code(), 43);
  EXPECT_EQ(local, 40);
}

TEST_F(copied_process_test, captured_pointers_and_references_are_valid_in_the_copy) {
  int value = 5;
  process p([&value, at = &value](const int* also) { _exit(at == also ? value : 0); }, &value);
  p.join();
  EXPECT_EQ(p.exit_code(), 5);
  const std::function<void(int)> f = [&value](int more) { _exit(value + more); };
  process q(f, 1);
  q.join();
  EXPECT_EQ(q.exit_code(), 6);
}

TEST_F(copied_process_test, a_process_with_threads_is_not_copied) {
  std::atomic<bool> end = false;
  std::thread other([&end] {
    while (!end) std::this_thread::yield();
  });
  const auto kept = std::make_shared<int>(1);
  EXPECT_THROW(process([&end, kept] { _exit(end ? 1 : 0); }), unsafe_fork_error);
  EXPECT_EQ(kept.use_count(), 1);
  process(nothing).join();  // this way it goes
  end = true;
  other.join();
}

TEST_F(copied_process_test, captures_are_kept_until_the_process_has_ended) {
  tally gate;
  const auto kept = std::make_shared<std::string>(gate.path());
  process p([kept] { await_tally(*kept, 1); });
  EXPECT_EQ(kept.use_count(), 2);
  EXPECT_FALSE(p.join_for(1ms));
  EXPECT_EQ(kept.use_count(), 2);
  gate.add();
  p.join();
  EXPECT_EQ(kept.use_count(), 1);
}

TEST_F(copied_process_test, a_copy_uses_shared_objects_of_both_sides) {
  const shared_array<int> given(10);
  process p([given] {
    given[3] = 7;
    const shared_array<int> made(1000);
    given[4] = static_cast<int>(made.size());
  });
  p.join();
  EXPECT_EQ(p.exit_code(), 0);
  EXPECT_EQ(given[3], 7);
  EXPECT_EQ(given[4], 1000);
}

TEST_F(copied_process_test, two_copies_at_once) {
  tally ready, gate;
  std::vector<process> copies;
  for (int i = 0; i < 4; ++i) {
    copies.emplace_back([&] { arrive_and_wait(ready.path(), gate.path(), 0); });
  }
  await_tally(ready.path(), 4);
  process_pool_executor pool({.max_workers = 1, .start = start_method::fork});  // and a pool
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
  gate.add();
  for (const process& p : copies) p.join();
}

TEST_F(process_test, captures_with_another_start_method) {
  const int x = getpid();
  EXPECT_THROW(process({.start = start_method::spawn}, [x] { _exit(x); }), std::invalid_argument);
}

void fill(const shared_array<int>& array, const std::string& ready, const std::string& gate,
          int value) {
  add_to_tally(ready);
  await_tally(gate, 1);
  for (int& x : array) x = value;
}

TEST_F(process_test, handles_keep_their_objects) {
  tally ready, gate;
  shared_array<int> array(1000);
  const shared_array<int> part = array.subarray(100, 100);
  std::vector<process> writers;
  for (int i = 0; i < 5; ++i) {
    writers.emplace_back(fill, array.subarray(static_cast<std::size_t>(i) * 200, 200), ready.path(),
                         gate.path(), i);
  }
  array = shared_array<int>(1);  // only the processes and `part` keep it
  await_tally(ready.path(), 5);
  gate.add();
  for (const process& p : writers) p.join();
  EXPECT_EQ(std::accumulate(part.begin(), part.end(), 0), 0);
  EXPECT_EQ(part.size(), 100u);
}

TEST_F(process_test, a_killed_process_releases_its_shared_objects) {
  tally ready, gate;
  for (int i = 0; i < 3; ++i) {
    process p(fill, shared_array<int>(1 << 20), ready.path(), gate.path(), 0);
    await_tally(ready.path(), i + 1);
    p.kill();
  }
}

void count_up(const shared_value<std::atomic<int>>& counter) { ++*counter; }

TEST_F(process_test, hundreds_at_once) {
  const shared_value<std::atomic<int>> counter(0);
  std::vector<process> all;
  for (int i = 0; i < 300; ++i) all.emplace_back(count_up, counter);
  for (const process& p : all) p.join();
  EXPECT_EQ(*counter, 300);
}

TEST_F(process_test, started_by_many_threads) {
  const shared_value<std::atomic<int>> counter(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&counter] {
      for (int i = 0; i < 10; ++i) process(count_up, counter).join();
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(*counter, 40);
}

TEST_F(process_test, the_destructor_ends_the_process) {
  tally ready;
  pid_t pid = 0;
  {
    process p(say_and_wait, ready.path());
    await_tally(ready.path(), 1);
    pid = p.pid();
  }
  EXPECT_TRUE(eventually([pid] { return ::kill(pid, 0) != 0; }));
}

// One that does not listen to SIGTERM is killed after 5 s.
TEST_F(process_test, the_destructor_does_not_wait_for_ever) {
  tally ready;
  const auto begin = std::chrono::steady_clock::now();
  {
    process p(
        [](const std::string& path) {
          signal(SIGTERM, SIG_IGN);
          add_to_tally(path);
          wait_for_ever();
        },
        ready.path());
    await_tally(ready.path(), 1);
  }
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(took, 5s);
  EXPECT_LT(took, 60s);
}

process_pool_executor& static_pool() {
  static process_pool_executor pool(1);
  return pool;
}

void use_pools() {
  int refused = 0;
  try {
    process_pool_executor own(1);
    own.submit(nothing).wait();
  } catch (const nested_use_error&) {
    ++refused;
  }
  try {
    static_pool().submit(nothing).wait();
  } catch (const nested_use_error&) {
    ++refused;
  }
  _exit(refused);
}

TEST_F(process_test, no_executors_inside) {
  process p(use_pools);
  p.join();
  EXPECT_EQ(p.exit_code(), 2);
}

TEST_F(process_test, no_process_in_a_task) {
  process_pool_executor pool(1);
  EXPECT_THROW(pool.submit([] { process(nothing).join(); }).get(), nested_use_error);
}

TEST_F(process_test, a_large_argument) {
  std::string text(80'000'000, 'x');
  text.back() = 'y';
  process p(
      [](std::string_view given) { _exit(given.size() == 80'000'000 && given.back() == 'y'); },
      text);
  p.join();
  EXPECT_EQ(p.exit_code(), 1);
}

struct refuses {
  int value = 0;
};

}  // namespace

template <>
struct procpool::codec<refuses> {
  static int to_wire(const refuses&) { throw std::logic_error("not today"); }
  static refuses from_wire(int) { return {}; }
};

namespace {

TEST_F(process_test, an_argument_that_cannot_be_encoded) {
  EXPECT_THROW(process([](const refuses&) {}, refuses{}), std::logic_error);
}

// The pidfd is what it lacks, and everything else goes without.
TEST_F(process_test, a_process_without_a_descriptor) {
  tally ready;
  process p;
  {
    const few_descriptors limit(0);
    p = process(say_and_wait, ready.path());
  }
  await_tally(ready.path(), 1);
  try {
    const int fd = p.pidfd();
    ADD_FAILURE() << "descriptor " << fd;
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code().value(), EMFILE);
    EXPECT_NE(std::string(e.what()).find("RLIMIT_NOFILE"), std::string::npos) << e.what();
  }
  EXPECT_FALSE(p.join_for(1ms));
  p.kill();
  EXPECT_TRUE(p.join_for(20s));
  EXPECT_EQ(p.exit_code(), -SIGKILL);
}

pid_t parent_of(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string word; status >> word;) {
    if (pid_t parent = 0; word == "PPid:" && status >> parent) return parent;
  }
  return 0;
}

TEST_F(process_test, a_fork_server_that_was_stopped) {
  tally ready;
  process p(say_and_wait, ready.path());
  await_tally(ready.path(), 1);
  const pid_t server = parent_of(p.pid());
  ASSERT_GT(server, 1);
  ASSERT_EQ(::kill(server, SIGSTOP), 0);
  p.kill();
  EXPECT_TRUE(p.join_for(20s));
  EXPECT_EQ(p.exit_code(), -SIGKILL);
  ASSERT_EQ(::kill(server, SIGSTOP), 0);
  process(nothing).join();
}

TEST_F(process_test, signals_to_a_dead_process_are_no_error) {
  process p(nothing);
  p.kill();
  p.terminate();
  p.join();
  p.kill();
  p.interrupt();
}

TEST_F(process_test, crashes) {
  process p([] { raise(SIGSEGV); });
  process q([] { raise(SIGKILL); });
  process r([] { throw 1; });
  p.join(), q.join(), r.join();
  EXPECT_NE(p.exit_code(), 0);
  EXPECT_EQ(q.exit_code(), -SIGKILL);
  EXPECT_EQ(r.exit_code(), 1);
}

}  // namespace
