// A process is killed within each operation of each lock, at every moment that differs from the one
// before: all that outlives it is memory, so it is stepped instruction by instruction and killed
// whenever the object has changed once more. Each time the others must be able to continue, in
// bounded time, and find nothing half done.
//
// Each process but the first of an operation runs to the last change that is known, by a
// breakpoint, and is stepped from there: so no instruction is stepped twice.
#ifdef __x86_64__

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <functional>
#include <iostream>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "os/owner_id.hpp"
#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

// All waits of the surviving processes.
constexpr auto bound = 10s;
constexpr long most_steps = 40'000;
constexpr int most_changes = 400;

std::span<const std::byte> memory_of(const detail::sync_handle& h) {
  // Its only member.
  const auto& object = reinterpret_cast<const detail::shared_object&>(h);
  return {object.data(), std::min<std::size_t>(object.bytes(), 20'000)};
}

std::uint32_t word_of(const detail::sync_handle& h, std::size_t offset) {
  return reinterpret_cast<const std::atomic<std::uint32_t>&>(memory_of(h)[offset]).load();
}

// What victim and test share.
struct stage {
  std::atomic<bool> go{false};
  std::atomic<int> done{0};
};

using address = unsigned long long;

class victim {
 public:
  // Runs `op(stage)` from the start line on.
  explicit victim(const std::function<void(stage&)>& op) {
    void* shared =
        mmap(nullptr, sizeof(stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stage_ = new (shared) stage;
    pid_ = fork();
    if (pid_ != 0) return;
    // What a thread finds out once about itself is not part of any operation.
    os::this_thread_owner();
    os::this_process_owner();
    stage_->done = -1;
    while (!stage_->go) {
    }
    op(*stage_);
    _exit(0);
  }
  ~victim() {
    kill();
    munmap(stage_, sizeof(stage));
  }
  victim(const victim&) = delete;
  victim& operator=(const victim&) = delete;

  bool is_ready() const { return stage_->done != 0; }
  void start() { stage_->go = true; }
  void hold() {
    if (ptrace(PTRACE_SEIZE, pid_, nullptr, nullptr) != 0) throw std::runtime_error("no ptrace");
    ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
    wait_for_stop();
  }
  // Where it sleeps, and not between two sleeps, where it may have a lock.
  void hold_asleep() {
    hold();
    while (registers().orig_rax != SYS_futex) {
      ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
      std::this_thread::yield();
      ptrace(PTRACE_INTERRUPT, pid_, nullptr, nullptr);
      if (!wait_for_stop()) throw std::runtime_error("the victim does not sleep");
    }
  }
  // False once it has ended.
  bool step() {
    ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
    return wait_for_stop();
  }
  // Of the next instruction.
  address position() const { return registers().rip; }
  // Executes the instruction at `a` for the time of that number, and none after it. False if the
  // process does not come there.
  bool run_past(address a, long visits) {
    const long code = ptrace(PTRACE_PEEKTEXT, pid_, a, nullptr);
    for (; visits > 0; --visits) {
      ptrace(PTRACE_POKETEXT, pid_, a, (code & ~0xffL) | 0xcc);
      ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
      if (!wait_for_stop(bound)) return false;
      user_regs_struct r = registers();
      if (r.rip != a + 1) return false;
      r.rip = a;
      ptrace(PTRACE_SETREGS, pid_, nullptr, &r);
      ptrace(PTRACE_POKETEXT, pid_, a, code);
      if (!step()) return false;
    }
    return true;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);  // our child, not waited for
    waitpid(pid_, nullptr, __WALL);
    pid_ = 0;
  }

 private:
  user_regs_struct registers() const {
    user_regs_struct r{};
    ptrace(PTRACE_GETREGS, pid_, nullptr, &r);
    return r;
  }
  bool wait_for_stop() {
    int status = 0;
    waitpid(pid_, &status, __WALL);
    if (WIFSTOPPED(status)) return true;
    pid_ = 0;
    return false;
  }
  // The same; false also if the process still runs after that time.
  bool wait_for_stop(duration limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(pid_), &info,
                  WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 &&
           info.si_pid == 0) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return wait_for_stop();
  }

  pid_t pid_ = 0;
  stage* stage_ = nullptr;
};

using operation = std::function<void(stage&)>;
using condition = std::function<bool()>;
using action = std::function<void()>;

// The changes of the object that the victims of one operation have made so far.
struct known_way {
  struct change {
    address instruction;
    long visits;         // of the instruction, including the visit that makes the change
    std::size_t differ;  // words, from what they were at first
  };
  std::vector<change> changes;
  std::unordered_map<address, long> visits;  // up to the last change
  bool left = false;                         // by the last victim: it died elsewhere
};
known_way way;

// How many: which ones depends on the number of a process.
std::size_t words_that_differ(std::span<const std::byte> a, std::span<const std::byte> b) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < a.size(); i += 8) {
    if (std::memcmp(&a[i], &b[i], std::min<std::size_t>(8, a.size() - i)) != 0) ++n;
  }
  return n;
}

// The victim dies when the object has changed n times; false if it ended before. `meanwhile`
// happens before it begins, or, with `blocked`, when it sleeps and that holds.
bool die_after(
    int n, const detail::sync_handle& object, const operation& op, const action& meanwhile = [] {},
    const condition& blocked = nullptr) {
  const std::span<const std::byte> memory = memory_of(object);
  victim v(op);
  EXPECT_TRUE(eventually([&] { return v.is_ready(); }));
  if (blocked) {
    v.start();
    EXPECT_TRUE(eventually(blocked));
    v.hold_asleep();
    meanwhile();
  } else {
    v.hold();
    meanwhile();
    v.start();
  }
  const std::vector<std::byte> first(memory.begin(), memory.end());
  if (!way.changes.empty()) {
    const known_way::change& c = way.changes.back();
    way.left = !v.run_past(c.instruction, c.visits) || words_that_differ(first, memory) != c.differ;
    if (way.left) return true;
  }
  std::vector<std::byte> last(memory.begin(), memory.end());
  std::unordered_map<address, long> visits = way.visits;
  for (long steps = 0; std::ssize(way.changes) < n && steps < most_steps; ++steps) {
    const address at = v.position();
    ++visits[at];
    if (!v.step()) return false;
    if (std::memcmp(last.data(), memory.data(), last.size()) == 0) continue;
    std::memcpy(last.data(), memory.data(), last.size());
    way.changes.push_back({at, visits[at], words_that_differ(first, memory)});
    way.visits = visits;
  }
  return std::ssize(way.changes) == n;
}

class lock_kill_test : public handle_test {
 protected:
  void SetUp() override {
    if (os::thread_sanitizer) GTEST_SKIP() << "does not follow a fork";
    handle_test::SetUp();
  }
  // Calls die(n), which says whether the victim died, and after each the rest, for n = 0, 1 ...
  void at_each_change(const std::function<bool(int)>& one) {
    int n = 0, others = 0;
    const auto start = std::chrono::steady_clock::now();
    way = {};
    while (n < most_changes && one(n) && !HasFailure()) {
      if (way.left) {
        ++others;
        way = {};  // the next one is stepped from the start
      } else {
        ++n;
      }
    }
    EXPECT_FALSE(HasFailure()) << "at change " << n;
    EXPECT_GE(n, 1);
    std::cout << n << " moments, " << others << " other ways, "
              << (std::chrono::steady_clock::now() - start) / 1ms << " ms\n";
  }
};

void expect_free(const mutex& m) {
  ASSERT_TRUE(m.try_lock_for(bound));
  m.unlock();
  ASSERT_TRUE(m.try_lock());
  EXPECT_FALSE(m.owner_died());
  m.unlock();
}

TEST_F(lock_kill_test, mutex_lock_and_unlock) {
  at_each_change([](int n) {
    const mutex m;
    const bool died = die_after(n, m, [&](stage&) { const std::lock_guard lock(m); });
    expect_free(m);
    return died;
  });
}

TEST_F(lock_kill_test, mutex_wait) {
  at_each_change([](int n) {
    const mutex m;
    m.lock();
    const bool died = die_after(
        n, m, [&](stage&) { const std::lock_guard lock(m); }, [&] { m.unlock(); },
        [&] { return (word_of(m, 8) & 1U) != 0; });
    expect_free(m);
    return died;
  });
}

TEST_F(lock_kill_test, recursive_mutex) {
  at_each_change([](int n) {
    const recursive_mutex m;
    const bool died = die_after(n, m, [&](stage&) {
      const std::lock_guard a(m);
      const std::lock_guard b(m);
    });
    EXPECT_TRUE(m.try_lock_for(bound));
    EXPECT_EQ(m.depth(), 1U);
    m.unlock();
    EXPECT_FALSE(m.locked());
    return died;
  });
}

TEST_F(lock_kill_test, semaphore) {
  at_each_change([](int n) {
    const counting_semaphore s(1);
    const bool died = die_after(n, s, [&](stage&) {
      s.acquire();
      s.release();
    });
    EXPECT_LE(s.available(), 1);
    if (s.available() == 0) s.release();
    EXPECT_TRUE(s.try_acquire_for(bound));
    EXPECT_FALSE(s.try_acquire());
    return died;
  });
}

TEST_F(lock_kill_test, permit) {
  at_each_change([](int n) {
    const bounded_semaphore s(1);
    const bool died = die_after(n, s, [&](stage&) { const permit p(s); });
    EXPECT_TRUE(permit(s, bound));
    EXPECT_EQ(s.available(), 1);
    return died;
  });
}

TEST_F(lock_kill_test, permit_wait) {
  at_each_change([](int n) {
    const bounded_semaphore s(1);
    permit mine(s);
    const bool died = die_after(
        n, s, [&](stage&) { const permit p(s); }, [&] { mine.release(); },
        [&] { return word_of(s, 60) != 0; });
    EXPECT_TRUE(permit(s, bound));
    EXPECT_EQ(s.available(), 1);
    return died;
  });
}

// The victim waits first, another one second; the one notification is not lost.
TEST_F(lock_kill_test, condition_variable_wait) {
  int passed_on = 0;
  at_each_change([&](int n) {
    const mutex m;
    const condition_variable c;
    std::atomic<bool> waits{false}, woken{false};
    std::thread second;
    bool received = false;
    const auto wait = [&](stage& s) {
      std::unique_lock lock(m);
      c.wait(lock);
      s.done = 2;
    };
    const auto is_waiting = [&] { return word_of(c, 56) != 0 && !m.locked(); };
    const auto notify = [&] {
      second = std::thread([&] {
        std::unique_lock lock(m);
        waits = true;
        c.wait(lock);
        woken = true;
      });
      EXPECT_TRUE(eventually([&] { return waits.load(); }));
      {
        const std::lock_guard it_waits(m);
      }
      c.notify_one();
    };
    const bool died = die_after(n, c, wait, notify, is_waiting);
    // Its slot is the first. If it has left the slot, it has received the notification.
    received = word_of(c, 56) == 0 && !woken;
    if (received) received = !eventually([&] { return woken.load(); }, 300ms);
    if (received) c.notify_one();
    EXPECT_TRUE(eventually([&] { return woken.load(); }, bound));
    second.join();
    passed_on += received ? 0 : 1;
    expect_free(m);
    return died;
  });
  EXPECT_GT(passed_on, 1);
}

TEST_F(lock_kill_test, condition_variable_notify) {
  at_each_change([&](int n) {
    const mutex m;
    const condition_variable c;
    std::atomic<bool> go{false};
    std::thread waiter;
    const auto somebody_waits = [&] {
      waiter = std::thread([&] {
        std::unique_lock lock(m);
        EXPECT_TRUE(c.wait_for(lock, bound, [&] { return go.load(); }));
      });
      EXPECT_TRUE(eventually([&] { return word_of(c, 56) != 0; }));
    };
    const bool died = die_after(n, c, [&](stage&) { c.notify_all(); }, somebody_waits);
    go = true;
    c.notify_all();
    waiter.join();
    return died;
  });
}

// Three parties: the victim waits, or is about to.
TEST_F(lock_kill_test, barrier_wait) {
  at_each_change([](int n) {
    const barrier b(3);
    if (n >= 30) return false;  // it waits for ever
    die_after(n, b, [&](stage&) { b.wait(); });
    const bool came = b.waiting() == 1;
    if (came) {
      EXPECT_THROW(b.wait(), broken_barrier_error);
    }
    b.reset();
    std::thread x([&] { b.wait_for(bound); }), y([&] { b.wait_for(bound); });
    EXPECT_LT(b.wait_for(bound), 3U);
    x.join();
    y.join();
    return true;
  });
}

TEST_F(lock_kill_test, barrier_last_arrival) {
  at_each_change([](int n) {
    const barrier b(2);
    std::thread first;
    const auto somebody_waits = [&] {
      first = std::thread([&] { EXPECT_LT(b.wait(), 2U); });
      EXPECT_TRUE(eventually([&] { return b.waiting() == 1; }));
    };
    const bool died = die_after(n, b, [&](stage&) { b.wait(); }, somebody_waits);
    if (b.waiting() == 1) {
      EXPECT_LT(b.wait_for(bound), 2U);
    }
    first.join();
    return died;
  });
}

queue<std::string> small_queue(std::size_t items) { return queue<std::string>(items, 200); }
const std::string long_text(100, 'a'), text(60, 'b');

void expect_usable(const queue<std::string>& q) {
  while (auto item = q.try_get()) {
    EXPECT_TRUE(*item == long_text || *item == text) << *item;
    q.task_done();
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(q.try_put_for(text, bound));
    EXPECT_EQ(q.try_get_for(bound), text);
    q.task_done();
  }
  EXPECT_TRUE(q.join_for(bound));
  EXPECT_TRUE(q.empty());
}

TEST_F(lock_kill_test, queue_put) {
  at_each_change([](int n) {
    const auto q = small_queue(2);
    q.put(text);
    const bool died = die_after(n, q, [&](stage&) { q.put(long_text); });
    EXPECT_LE(q.size(), 2U);
    expect_usable(q);
    return died;
  });
}

TEST_F(lock_kill_test, queue_put_into_a_full_queue) {
  at_each_change([](int n) {
    const auto q = small_queue(1);
    q.put(long_text);
    const bool died = die_after(
        n, q, [&](stage&) { q.put(text); },
        [&] {
          EXPECT_EQ(q.get(), long_text);
          q.task_done();
        },
        [&] { return word_of(q, 100) != 0; });
    expect_usable(q);
    return died;
  });
}

TEST_F(lock_kill_test, queue_get) {
  at_each_change([](int n) {
    const auto q = small_queue(2);
    q.put(long_text);
    q.put(text);
    const bool died = die_after(n, q, [&](stage&) { q.get(); });
    EXPECT_GE(q.size(), 1U);
    expect_usable(q);
    return died;
  });
}

TEST_F(lock_kill_test, queue_get_from_an_empty_queue) {
  at_each_change([](int n) {
    const auto q = small_queue(2);
    const bool died = die_after(
        n, q, [&](stage&) { q.get(); }, [&] { q.put(long_text); },
        [&] { return word_of(q, 92) != 0; });
    expect_usable(q);
    return died;
  });
}

TEST_F(lock_kill_test, queue_task_done_and_close) {
  at_each_change([](int n) {
    const auto q = small_queue(2);
    q.put(text);
    q.put(text);
    const bool died = die_after(n, q, [&](stage&) {
      q.get();
      q.task_done();
      q.close();
    });
    while (auto item = q.closed() && q.empty() ? std::nullopt : q.try_get()) q.task_done();
    EXPECT_TRUE(q.join_for(bound));
    q.close();
    EXPECT_THROW(q.get(), queue_closed_error);
    return died;
  });
}

// The table of holdings has a fixed size. When it is full, the holdings of dead processes are
// found.
TEST_F(lock_kill_test, queue_that_a_thousand_dead_processes_have_used) {
  const auto q = small_queue(2);
  constexpr std::size_t first_holding = 112, holdings = 1024;
  for (std::size_t i = 0; i < holdings; ++i) {
    const std::uint64_t dead[2] = {os::this_process_owner() - ((i + 1) << 22U), 1};
    std::memcpy(const_cast<std::byte*>(memory_of(q).data()) + first_holding + i * sizeof dead, dead,
                sizeof dead);
  }
  q.put(text);
  EXPECT_EQ(q.get(), text);  // counts as done
  EXPECT_TRUE(q.join_for(0s));
  EXPECT_THROW(q.task_done(), invalid_state_error);
  expect_usable(q);
}

TEST_F(lock_kill_test, event_and_latch) {
  at_each_change([](int n) {
    const event e;
    const bool died = die_after(n, e, [&](stage&) {
      e.set();
      e.clear();
      e.set();
    });
    std::thread waiter([&] { e.wait(); });
    e.set();
    waiter.join();
    return died;
  });
  at_each_change([](int n) {
    const latch l(2);
    const bool died = die_after(n, l, [&](stage&) { l.count_down(); });
    l.count_down();
    if (!l.try_wait()) l.count_down();
    EXPECT_TRUE(l.wait_for(bound));
    return died;
  });
}

}  // namespace

#endif  // __x86_64__
