// What a program or a task may do to a pool at a bad moment: nothing hangs, nothing is lost, and
// what cannot be had is said.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"
#include "support/refused_memory.hpp"
#include "support/tally.hpp"

namespace {

// Allocation number `countdown` of this thread fails; 0: none does.
thread_local int countdown = 0;

}  // namespace

bool procpool::testing::may_allocate() { return countdown <= 0 || --countdown != 0; }

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

int twice(int x) { return 2 * x; }
int die() { return std::raise(SIGKILL); }
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}
std::size_t size_of(const std::vector<char>& v) { return v.size(); }
std::vector<char> make(std::size_t n) { return std::vector<char>(n, 'x'); }
int stop_the_server() { return ::kill(getppid(), SIGSTOP); }
void hang() {
  for (;;) ::pause();
}

std::vector<int> up_to(int n) {
  std::vector<int> v(static_cast<std::size_t>(n));
  std::iota(v.begin(), v.end(), 0);
  return v;
}

// Bytes of memory that the region of this process's one pool has.
std::size_t region_bytes() {
  std::size_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string name = std::filesystem::read_symlink(entry.path(), gone).string();
    if (name.find("/memfd:procpool-region") == std::string::npos) continue;
    struct stat status{};
    if (::stat(entry.path().c_str(), &status) == 0) {
      bytes = std::max(bytes, static_cast<std::size_t>(status.st_blocks) * 512);
    }
  }
  return bytes;
}

// Exit status of a copy of this process that runs `what`; -N if signal N ended it.
int in_a_copy(const std::function<void()>& what) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    try {
      what();
    } catch (const nested_use_error&) {
      _exit(7);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

class hardship_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(hardship_test);

TEST_P(hardship_test, maps_that_are_half_read_keep_no_worker_from_starting) {
  pool_options o = options(1);
  o.max_tasks_per_child = 1;
  process_pool_executor pool(o);
  const std::vector<int> items = up_to(8);
  std::vector<decltype(pool.map(twice, items))> open;
  for (int i = 0; i < 12; ++i) {
    open.push_back(pool.map(map_options{.chunksize = 8}, twice, items));
    EXPECT_EQ(*open.back().begin(), 0);
  }
  EXPECT_EQ(pool.submit(twice, 21).get_for(30s), 42);
  for (auto& map : open) {
    EXPECT_EQ(map.to_vector(), (std::vector<int>{2, 4, 6, 8, 10, 12, 14}));
  }
}

TEST_P(hardship_test, memory_of_large_arguments_is_used_again) {
  process_pool_executor pool(options(2));
  const std::vector<char> large(std::size_t{8} << 20U, 'x');
  for (int round = 0; round < 20; ++round) {
    std::vector<future<int>> small;
    for (int i = 0; i < round; ++i) small.push_back(pool.submit(twice, i));
    EXPECT_EQ(pool.submit(size_of, large).get(), large.size());
  }
  // One of them was under way at a time; many records have had one.
  EXPECT_LT(region_bytes(), 4 * large.size());
}

TEST_P(hardship_test, memory_of_many_large_values_is_given_back) {
  if (os::thread_sanitizer && method() != start_method::forkserver) {
    GTEST_SKIP() << "the same for all, and slow: each byte is looked at";
  }
  process_pool_executor pool(options(1));
  const std::vector<char> large(std::size_t{24} << 20U, 'x');
  std::vector<future<std::size_t>> all;
  for (int i = 0; i < 12; ++i) all.push_back(pool.submit(size_of, large));
  for (auto& f : all) EXPECT_EQ(f.get(), large.size());
  EXPECT_EQ(pool.submit(twice, 1).get(), 2);
  EXPECT_EQ(pool.submit(size_of, large).get(), large.size());
  // Of the 288 MiB about 128 stay warm.
  EXPECT_LT(region_bytes(), std::size_t{200} << 20U);
  for (const std::size_t mib : {40U, 80U}) {
    EXPECT_EQ(pool.submit(make, mib << 20U).get().size(), mib << 20U);
    EXPECT_EQ(pool.submit(make, mib << 20U).get().back(), 'x');
  }
  // And nothing of it when it was not needed for some seconds: of the arguments, and of the
  // results; also in a worker that does nothing, and in one that has much to do.
  EXPECT_TRUE(eventually([] { return region_bytes() < std::size_t{16} << 20U; }));
  EXPECT_EQ(pool.submit(make, std::size_t{80} << 20U).get().back(), 'x');
  EXPECT_GT(region_bytes(), std::size_t{80} << 20U);
  EXPECT_TRUE(eventually([&pool] {
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(pool.submit(twice, i).get(), 2 * i);
    return region_bytes() < std::size_t{16} << 20U;
  }));
}

TEST_P(hardship_test, a_map_outlives_its_executor) {
  const std::vector<std::string> items(2000, std::string(200, 'i'));
  const auto length = [](const std::string& s) { return s.size(); };
  for (int round = 0; round < 3; ++round) {
    auto pool = std::make_unique<process_pool_executor>(options(1));
    auto map = pool->map(map_options{.chunksize = 1, .buffersize = 2}, length, items);
    EXPECT_EQ(*map.begin(), 200u);
    pool.reset();
    // What was submitted can be read; then there is no pool to submit the rest to.
    EXPECT_THROW(map.to_vector(), shutdown_error);
  }
}

std::mutex program_lock;
std::atomic<int> decoded = 0;

}  // namespace

// As of a program that interns what it reads.
class locked_error : public std::runtime_error {
 public:
  explicit locked_error(std::string text) : std::runtime_error(std::move(text)) {}
};

template <>
struct procpool::codec<locked_error> {
  static auto to_wire(const locked_error& e) { return std::string(e.what()); }
  static locked_error from_wire(std::string&& text) {
    ++decoded;
    const std::lock_guard lock(program_lock);
    return locked_error(std::move(text));
  }
};
PROCPOOL_EXCEPTION(locked_error)

namespace {

int fail_at_length() { throw locked_error(std::string(500, 'l')); }

TEST_P(hardship_test, code_of_the_user_runs_without_the_locks_of_the_pool) {
  process_pool_executor pool(options(1));
  future<int> unread = pool.submit(fail_at_length);
  unread.wait();
  const int before = decoded;
  {
    const std::lock_guard mine(program_lock);
    // The sweep takes the outcome out of the dead worker's memory, as bytes.
    EXPECT_THROW(pool.submit(die).get_for(30s), worker_crashed);
    EXPECT_EQ(pool.submit(twice, 2).get_for(30s), 4);
    EXPECT_EQ(decoded, before);
  }
  try {
    unread.get();
    ADD_FAILURE() << "it has thrown";
  } catch (const locked_error& e) {
    EXPECT_EQ(std::string(e.what()), std::string(500, 'l'));
  }
}

TEST_P(hardship_test, a_callback_may_create_no_forked_pool) {
  process_pool_executor pool(options(1));
  std::promise<std::string> said;
  pool.submit(twice, 1).then([&](future<int>) {
    try {
      process_pool_executor another({.max_workers = 1, .start = start_method::fork});
      said.set_value("created");
    } catch (const unsafe_fork_error& e) {
      said.set_value(e.what());
    }
  });
  EXPECT_NE(said.get_future().get().find("callback"), std::string::npos);
}

TEST_P(hardship_test, an_initializer_that_hangs_does_not_hold_up_a_shutdown_in_time) {
  pool_options o = options(2);
  o.initializer = hang;
  process_pool_executor pool(o);
  const auto before = std::chrono::steady_clock::now();
  pool.shutdown({.timeout = 50ms});
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
}

TEST_P(hardship_test, a_stopped_fork_server_continues) {
  process_pool_executor pool(options(2));
  EXPECT_EQ(pool.submit(stop_the_server).get(), 0);
  EXPECT_THROW(pool.submit(die).get_for(30s), worker_crashed);
  EXPECT_EQ(pool.submit(twice, 4).get_for(30s), 8);
  EXPECT_EQ(pool.submit(stop_the_server).get(), 0);
  tally gate;
  future<int> f = pool.submit(wait_and_return, gate.path(), 1);
  EXPECT_TRUE(eventually([&] { return f.running(); }));
  EXPECT_TRUE(f.cancel(cancel_mode::kill_running));
  EXPECT_THROW(f.get_for(30s), cancelled_error);
  EXPECT_EQ(pool.submit(stop_the_server).get(), 0);
  pool.shutdown();
}

// It would live on, and hold what tells the parent that all are dead.
int outlive_the_server(const std::string& arrived) {
  ::prctl(PR_SET_PDEATHSIG, 0);
  add_to_tally(arrived);
  ::kill(getppid(), SIGKILL);
  hang();
  return 0;
}

TEST_P(hardship_test, a_worker_that_would_outlive_its_server_does_not_hold_up_the_others) {
  if (method() == start_method::fork) GTEST_SKIP() << "that server cannot be started again";
  process_pool_executor pool(options(2));
  tally arrived, gate;
  std::vector<future<int>> both;
  for (int i = 0; i < 2; ++i) both.push_back(pool.submit(wait_and_return, gate.path(), i));
  EXPECT_TRUE(eventually([&] {
    const pool_stats s = pool.stats();
    return std::ranges::all_of(s.workers, [](const worker_stats& w) { return w.pid != 0; });
  }));
  gate.add();
  for (auto& f : both) f.wait();
  future<int> last = pool.submit(outlive_the_server, arrived.path());
  EXPECT_THROW(last.get_for(30s), worker_crashed);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(pool.submit(twice, i).get_for(30s), 2 * i);
}

TEST_P(hardship_test, unread_futures_that_were_waited_for_keep_no_slot) {
  if (method() != start_method::spawn) GTEST_SKIP() << "the same for every method, and long";
  process_pool_executor pool(options(1));
  tally gate;
  std::vector<future<int>> all;
  all.push_back(pool.submit(wait_and_return, gate.path(), 0));
  // As many as there are slots.
  for (int i = 1; i < 131'072; ++i) {
    all.push_back(pool.submit(twice, i));
    EXPECT_EQ(all.back().wait_for(duration(1e-9)), std::future_status::timeout);
  }
  EXPECT_FALSE(pool.try_submit(twice, 0).has_value());
  gate.add();
  all.back().wait();
  EXPECT_EQ(pool.submit(twice, 7).get(), 14);
  EXPECT_EQ(all[1000].get(), 2000);
}

TEST_P(hardship_test, a_copy_of_the_process_gets_errors_and_leaves_the_pool_alone) {
  process_pool_executor pool(options(2));
  const std::vector<int> items = up_to(64);
  auto map = pool.map(map_options{.chunksize = 8}, twice, items);
  auto at = map.begin();
  EXPECT_EQ(*at, 0);
  auto shared_queue = std::make_unique<completion_queue<int>>();
  completion_queue<int>& queue = *shared_queue;
  queue.add(pool.submit(twice, 1));
  future<int> f = pool.submit(twice, 2);
  EXPECT_EQ(in_a_copy([&] { ++at; }), 7);
  EXPECT_EQ(in_a_copy([&] { map.cancel(); }), 0);
  EXPECT_EQ(in_a_copy([&] { auto moved = std::move(map); }), 0);
  EXPECT_EQ(in_a_copy([&] { queue.next(); }), 7);
  EXPECT_EQ(in_a_copy([&] { shared_queue.reset(); }), 0);
  EXPECT_EQ(in_a_copy([&] { f.get(); }), 7);
  EXPECT_EQ(in_a_copy([&] { f.on_done([](const future<int>&) {}); }), 7);
  std::vector<future<int>*> pointers{&f};
  EXPECT_EQ(in_a_copy([&] { wait(pointers); }), 7);
  ++at;
  EXPECT_EQ(*at, 2);
  EXPECT_EQ(queue.next()->get(), 2);
  EXPECT_EQ(f.get(), 4);
}

TEST_P(hardship_test, several_threads_read_one_queue) {
  process_pool_executor pool(options(1));
  tally gate;
  completion_queue<int> queue;
  queue.add(pool.submit(wait_and_return, gate.path(), 1));
  std::atomic<int> got = 0, ended = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (std::optional<future<int>> f = queue.next()) got += f->get();
      ++ended;
    });
  }
  gate.add();
  for (std::thread& t : readers) t.join();
  EXPECT_EQ(got, 1);
  EXPECT_EQ(ended, 3);
}

// Of a task that looks after itself: its worker dies, the file of other code is not touched.
int close_all_and_write(const std::string& path) {
  // The region's descriptor among them; what is opened next may get its number.
  for (int fd = 3; fd < 64; ++fd) ::close(fd);
  for (int i = 0; i < 8; ++i) {
    if (::open(path.c_str(), O_RDWR | O_CLOEXEC) < 0) return 1;
  }
  return 0;
}
std::vector<char> close_all_and_return_much(const std::string& path) {
  close_all_and_write(path);
  return std::vector<char>(std::size_t{4} << 20U, 'y');
}

TEST_P(hardship_test, a_task_that_closes_every_descriptor_ruins_only_itself) {
  process_pool_executor pool(options(1));
  tally file;
  EXPECT_THROW(pool.submit(close_all_and_return_much, file.path()).get(), worker_crashed);
  EXPECT_EQ(file.count(), 0);
  EXPECT_EQ(pool.submit(twice, 4).get(), 8);
}

TEST_P(hardship_test, submit_without_memory) {
  if (!can_refuse_memory) GTEST_SKIP() << "a sanitizer has the allocations here";
  process_pool_executor pool(options(1));
  const task_options labelled{.retries = 1, .label = std::string(100, 'l')};
  int failed = 0;
  for (int k = 1; k < 12; ++k) {
    for (int i = 0; i < 300; ++i) {
      countdown = k;
      try {
        future<int> f = pool.submit(labelled, twice, i);
        countdown = 0;
        if (i % 10 == 0) {
          EXPECT_EQ(f.get(), 2 * i);
        }
      } catch (const std::bad_alloc&) {
        ++failed;
      }
      countdown = 0;
    }
  }
  EXPECT_GT(failed, 0);
  EXPECT_EQ(pool.submit(twice, 5).get(), 10);
}

// --- in processes of their own, whose limits and ends are theirs ---

class hardship_death_test : public leak_free_test {
 protected:
  void SetUp() override {
    leak_free_test::SetUp();
    if (os::thread_sanitizer || os::address_sanitizer) GTEST_SKIP() << "needs plain memory limits";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

[[noreturn]] void end_in_a_callback() {
  process_pool_executor pool(1);
  pool.submit(twice, 1).then([](future<int>) { std::exit(5); });
  hang();
  std::abort();
}

TEST_F(hardship_death_test, exit_in_a_callback) {
  EXPECT_EXIT(end_in_a_callback(), ::testing::ExitedWithCode(5), "");
}

// No room for another thread's stack.
void tighten_memory() {
  std::ifstream statm("/proc/self/statm");
  rlim_t pages = 0;
  statm >> pages;
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = pages * 4096 + (rlim_t{3} << 20U);
  ::setrlimit(RLIMIT_AS, &limit);
}
void loosen_memory() {
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_AS, &limit);
}

[[noreturn]] void report_without_a_thread() {
  std::promise<int> heard;
  pool_options o{.max_workers = 1};
  o.on_worker_death = [&](const task_killed& t) { heard.set_value(t.signal()); };
  process_pool_executor pool(o);
  pool.submit(twice, 1).get();
  tighten_memory();
  pool.submit(die).wait();
  const int signal = heard.get_future().get();
  loosen_memory();
  std::exit(pool.submit(twice, 2).get() == 4 ? signal : 1);
}

TEST_F(hardship_death_test, deaths_are_reported_without_a_callback_thread) {
  EXPECT_EXIT(report_without_a_thread(), ::testing::ExitedWithCode(SIGKILL), "");
}

// A thread pool that can have no thread refuses the task, which has not begun then.
[[noreturn]] void submit_without_a_thread() {
  thread_pool_executor pool(2);
  tighten_memory();
  std::string refused;
  try {
    static_cast<void>(pool.submit(twice, 1));
  } catch (const std::system_error& e) {
    refused = e.what();
  }
  loosen_memory();
  const bool says_why = refused.find("ulimit -u") != std::string::npos;
  std::exit(says_why && pool.submit(twice, 2).get() == 4 && pool.stats().done == 1 ? 6 : 1);
}

TEST_F(hardship_death_test, a_thread_pool_without_a_thread) {
  EXPECT_EXIT(submit_without_a_thread(), ::testing::ExitedWithCode(6), "");
}

[[noreturn]] void call_back_later() {
  process_pool_executor pool(1);
  pool.submit(twice, 1).get();
  future<int> f = pool.submit(twice, 2);
  tighten_memory();
  bool refused = false;
  try {
    f.on_done([](const future<int>&) {});
  } catch (const std::system_error&) {
    refused = true;
  }
  loosen_memory();
  std::promise<void> ran;
  f.on_done([&](const future<int>&) { ran.set_value(); });
  ran.get_future().get();
  std::exit(refused && f.get() == 4 ? 6 : 1);
}

TEST_F(hardship_death_test, a_callback_that_was_refused_hinders_no_other) {
  EXPECT_EXIT(call_back_later(), ::testing::ExitedWithCode(6), "");
}

// Files, those in memory too, may not grow: as with ulimit -f.
[[noreturn]] void map_without_room() {
  const rlimit limit{rlim_t{300} << 20U, rlim_t{300} << 20U};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, SIG_IGN);
  process_pool_executor pool(2);
  int without_room = 0;
  for (auto& o : pool.map(map_options{.chunksize = 20}, twice, up_to(100)).outcomes()) {
    try {
      o.value();
    } catch (const std::system_error& e) {
      without_room += e.code() == std::errc::file_too_large;
    }
  }
  try {
    pool.submit(make, std::size_t{100'000}).get();
  } catch (const std::system_error& e) {
    without_room += e.code() == std::errc::file_too_large;
  }
  std::exit(without_room == 101 && pool.stats().restarts == 0 ? 8 : 1);
}

TEST_F(hardship_death_test, results_without_room_are_errors_and_no_crashes) {
  EXPECT_EXIT(map_without_room(), ::testing::ExitedWithCode(8), "");
}

}  // namespace
