// A program that forks itself, as a daemon does, after it has used the library: the new process has
// pools of its own, and what it has inherited stays the program's.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr unsigned child_limit_s = 40;

int twice(int n) { return 2 * n; }
int abort_at_3(int n) {
  if (n == 3) std::abort();
  return n;
}
int wait_and_return(const std::string& gate, int x) {
  await_tally(gate, 1);
  return x;
}
void nothing() {}

// What `f` returns or throws in a process that is forked here; "" is what tests hope for.
std::string in_a_fork(const std::function<std::string()>& f) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  // A process between both reaps the fork servers that the child leaves when it ends.
  const pid_t middle = fork();
  const pid_t child = middle == 0 ? (adopt_orphans(), fork()) : -1;
  if (middle == 0 && child != 0) {
    alarm(child_limit_s);
    close(ends[1]);
    int how = 0;
    int result = 1;
    for (pid_t ended; (ended = waitpid(-1, &how, 0)) > 0;) {
      if (ended == child) result = how == 0 ? 0 : 1;
    }
    _exit(result);
  }
  if (child == 0) {
    alarm(child_limit_s);
    std::string said;
    try {
      said = f();
    } catch (const std::exception& e) {
      said = e.what();
    }
    [[maybe_unused]] const auto n = write(ends[1], said.data(), said.size());
    _exit(0);
  }
  close(ends[1]);
  std::string said;
  char buffer[256];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    said.append(buffer, static_cast<std::size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(middle, &status, 0);
  return status == 0 ? said : said + " and ended with status " + std::to_string(status);
}

template <class F>
std::string refusal_of(F f) {
  try {
    f();
  } catch (const nested_use_error& e) {
    return e.what();
  }
  return "not refused";
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class forked_program_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(forked_program_test);

TEST_P(forked_program_test, a_forked_program_has_pools_of_its_own) {
  process_pool_executor before(options(1));
  EXPECT_EQ(before.submit(twice, 1).get(), 2);
  EXPECT_EQ(in_a_fork([&]() -> std::string {
              process_pool_executor pool(options(2));
              if (pool.submit(twice, 21).get() != 42) return "a task fails";
              int sum = 0;
              for (auto& o : pool.map(abort_at_3, {1, 2, 3, 4}).outcomes()) {
                if (o) sum += *o;
              }
              if (sum != 7) return "a crash costs more than one item";
              std::atomic<int> called = 0;
              pool.submit(twice, 4).then([&](future<int> f) { called = f.get(); });
              if (!eventually([&] { return called == 8; })) return "a callback is not called";
              pool.shutdown();
              return "";
            }),
            "");
  EXPECT_EQ(before.submit(twice, 2).get(), 4);
}

TEST_P(forked_program_test, a_forked_program_has_executors_and_shared_objects_of_its_own) {
  const process_pool_executor before(options(1));
  EXPECT_EQ(in_a_fork([&]() -> std::string {
              process_pool_executor pool(options(1));  // before there are threads
              thread_pool_executor threads(2);
              if (threads.submit(twice, 3).get() != 6) return "threads fail";
              inline_executor here;
              if (here.submit(twice, 3).get() != 6) return "tasks in place fail";
              shared_array<int> numbers(10);
              numbers[1] = 5;
              const auto second = [](std::span<const int> xs) { return xs[1]; };
              if (pool.submit(second, numbers).get() != 5) return "shared arrays fail";
              mutex m;
              const auto lock = [](const mutex& x) { return std::unique_lock(x).owns_lock(); };
              if (!pool.submit(lock, m).get()) return "locks fail";
              promise<int> p;
              auto f = p.get_future();
              std::thread([&] { p.set_value(3); }).join();
              return f.get() == 3 ? "" : "promises fail";
            }),
            "");
}

TEST_P(forked_program_test, a_forked_program_has_processes_and_managers_of_its_own) {
  {
    process({.start = method()}, nothing).join();
    manager inherited;
    EXPECT_EQ(in_a_fork([&]() -> std::string {
                process child(nothing);
                child.join();
                if (child.exit_code() != 0) return "processes fail";
                manager m;
                const auto text = m.make<std::string>("abc");
                if (text.call([](const std::string& s) { return s.size(); }) != 3) {
                  return "managers fail";
                }
                return mentions(refusal_of([&] { (void)inherited.pid(); }), "forked since")
                           ? ""
                           : "an inherited manager can be used";
              }),
              "");
    EXPECT_TRUE(inherited.is_alive());
  }
  // The fork server and the file of all process objects stay.
  begin_leak_check();
}

TEST_P(forked_program_test, inherited_pools_futures_and_handles_cannot_be_used) {
  tally gate;
  std::optional<process_pool_executor> pool(options(1));
  std::optional<thread_pool_executor> threads(1);
  future<int> done = pool->submit(twice, 1);
  done.wait();
  future<int> pending = pool->submit(wait_and_return, gate.path(), 2);
  future<int> in_thread = threads->submit(wait_and_return, gate.path(), 3);
  auto results = pool->map(twice, {1, 2, 3});
  shared_array<int> numbers(10);
  const auto told_to_make_a_new_one = [](const auto& f) {
    return mentions(refusal_of(f), "make a new executor");
  };
  EXPECT_EQ(in_a_fork([&]() -> std::string {
              process_pool_executor own(options(1));
              if (!told_to_make_a_new_one([&] { (void)pool->submit(twice, 1); })) return "submit";
              if (!told_to_make_a_new_one([&] { (void)pool->stats(); })) return "stats";
              if (!told_to_make_a_new_one([&] { pool->shutdown(); })) return "shutdown";
              if (!told_to_make_a_new_one([&] { (void)threads->submit(twice, 1); }))
                return "threads";
              if (refusal_of([&] { done.get(); }) == "not refused") return "done.get";
              if (refusal_of([&] { pending.get(); }) == "not refused") return "get";
              if (refusal_of([&] { pending.cancel(); }) == "not refused") return "cancel";
              if (refusal_of([&] { in_thread.wait(); }) == "not refused") return "wait";
              if (refusal_of([&] { (void)*results.begin(); }) == "not refused") return "map";
              if (refusal_of([&] { wait(std::span(&pending, 1)); }) == "not refused")
                return "wait all";
              try {
                (void)own.submit([](const shared_array<int>& a) { return a.size(); }, numbers);
                return "handle";
              } catch (const codec_error&) {
              }
              pool.reset();
              threads.reset();
              numbers = {};
              pending = {};
              {
                const auto gone = std::move(results);
              }
              return own.submit(twice, 3).get() == 6 ? "" : "its own pool";
            }),
            "");
  gate.add();
  EXPECT_EQ(pending.get(), 2);
  EXPECT_EQ(in_thread.get(), 3);
  EXPECT_EQ(done.get(), 2);
  EXPECT_EQ(pool->submit([](std::span<const int> xs) { return xs.size(); }, numbers).get(), 10U);
  EXPECT_EQ(results.to_vector(), (std::vector{2, 4, 6}));
}

TEST_P(forked_program_test, a_forked_program_may_fork_itself_again) {
  const process_pool_executor before(options(1));
  const auto use = [&]() -> std::string {
    process_pool_executor pool(options(1));
    return pool.submit(twice, 5).get() == 10 ? "" : "a task fails";
  };
  EXPECT_EQ(in_a_fork([&]() -> std::string {
              process_pool_executor own(options(1));
              const std::string deeper = in_a_fork([&]() -> std::string {
                if (refusal_of([&] { (void)own.submit(twice, 1); }) == "not refused") return "own";
                return use();
              });
              return deeper + use() + (own.submit(twice, 1).get() == 2 ? "" : "own is disturbed");
            }),
            "");
}

// Its locks, and those of the library, may be held at that moment by threads that the copy lacks.
TEST_P(forked_program_test, the_program_is_forked_while_threads_use_pools) {
  process_pool_executor pool(options(2));
  thread_pool_executor threads(2);
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> users;
  for (int i = 0; i < 3; ++i) {
    users.emplace_back([&, i] {
      while (!over) {
        const auto process = pool.submit(twice, i);
        auto thread = threads.submit(twice, i);
        std::atomic<bool> told = false;
        pool.submit(twice, i).then([&](const future<int>&) { told = true; });
        const shared_array<int> more(10);
        if (thread.get() != 2 * i || !eventually([&] { return told.load(); })) ++wrong;
        process.wait();
      }
    });
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(in_a_fork([&]() -> std::string {
                // Without start_method::fork: the C library still counts the threads.
                process_pool_executor own(1);
                std::atomic<int> told = 0;
                own.submit(twice, 4).then([&](future<int> f) { told = f.get(); });
                shared_array<int> numbers(10);
                numbers[0] = own.submit(twice, 3).get();
                return eventually([&] { return told == 8; }) && numbers[0] == 6 ? "" : "wrong";
              }),
              "");
  }
  over = true;
  for (std::thread& t : users) t.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(forked_program_test, a_process_that_a_task_forks_is_no_program) {
  process_pool_executor pool(options(1));
  const std::string said = pool.submit([] {
                                 return in_a_fork([]() -> std::string {
                                   return refusal_of([] {
                                     process_pool_executor inner(1);
                                     (void)inner.submit(twice, 1);
                                   });
                                 });
                               })
                               .get();
  EXPECT_TRUE(mentions(said, "a process that a task has forked")) << said;
}

}  // namespace
