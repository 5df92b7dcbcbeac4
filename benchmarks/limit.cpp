// Two limits, with nothing of a library around them: no process sleeps, and no task has a future,
// an error, a type or a second thread that submits.
//
// cache lines: one line for each task goes there and comes back; the child knows beforehand what to
// run and in which order.
// the protocol: what procpool needs besides so that the death of a worker costs one task, and
// nothing more. A hint says which slot is next, the worker claims the task and says DONE by one
// compare-and-swap each; it moves the ring's head by several hints at once, which procpool does not
// (they would wait for a task that turns out to be long).
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <new>

#include "contender.hpp"
#include "pooled.hpp"
#include "work.hpp"

namespace bench {
namespace {

constexpr std::size_t ahead = 4;  // places: what is asked for before it is needed

template <class Line>
void ask_for(const Line& l) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(l));
#else
  __builtin_prefetch(&l, 1);
#endif
}
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Each protocol: put() and take() by the parent, in the same order; serve() by the child, from what
// puts() was before its fork.
class cache_lines {
 public:
  void put(int value) {
    line& l = lines_[put_ % window];
    l.value = value;
    l.turn.store(put_++ / window * 2 + 1, std::memory_order_release);
  }
  int take() {
    line& l = lines_[taken_ % window];
    const std::uint64_t done = taken_++ / window * 2 + 2;
    if (l.turn.load(std::memory_order_acquire) == done) {
      ask_for(lines_[(taken_ + ahead) % window]);
    } else {
      while (l.turn.load(std::memory_order_acquire) != done) pause();
    }
    return l.value;
  }
  std::uint64_t puts() const { return put_; }
  [[noreturn]] void serve(std::uint64_t from) {
    for (std::uint64_t k = from;; ++k) {
      line& l = lines_[k % window];
      const std::uint64_t mine = k / window * 2 + 1;
      while (l.turn.load(std::memory_order_acquire) != mine) pause();
      ask_for(lines_[(k + ahead) % window]);
      l.value = next_of(l.value);
      l.turn.store(mine + 1, std::memory_order_release);
    }
  }

 private:
  struct alignas(64) line {
    std::atomic<std::uint64_t> turn;  // odd: the child's; even: the parent's
    int value;
  };
  line lines_[window];
  std::uint64_t put_ = 0, taken_ = 0;
};

class protocol {
 public:
  protocol() {
    for (std::uint32_t i = 0; i < window; ++i) free_[i] = i;
  }
  void put(int value) {
    const std::uint32_t index = free_[--free_count_];
    slot& s = slots_[index];
    s.function = &next_of;
    s.value = value;
    const std::uint64_t generation = ++generations_[index];
    s.word.store(generation << 2U | ready, std::memory_order_release);
    order_[put_ % window] = index;
    hints_[put_ % window].store(generation << 32U | index, std::memory_order_relaxed);
    tail_.exchange(++put_);
  }
  int take() {
    const std::uint32_t index = order_[taken_++ % window];
    slot& s = slots_[index];
    const std::uint64_t end = generations_[index] << 2U | done;
    if (s.word.load(std::memory_order_acquire) == end) {
      ask_for(slots_[order_[(taken_ + ahead) % window]]);
    } else {
      while (s.word.load(std::memory_order_acquire) != end) pause();
    }
    free_[free_count_++] = index;
    return s.value;
  }
  std::uint64_t puts() const { return put_; }
  [[noreturn]] void serve(std::uint64_t from) {
    std::uint64_t seen = from;
    for (;;) {
      std::uint64_t head = head_.load(std::memory_order_relaxed);
      while (head >= seen) {
        pause();
        seen = tail_.load(std::memory_order_acquire);
      }
      const std::uint64_t end = std::min(seen, head + at_once);
      if (!head_.compare_exchange_strong(head, end)) continue;
      for (; head < end; ++head) {
        if (head + ahead < seen) ask_for(slots_[index_at(head + ahead)]);
        const std::uint64_t generation =
            hints_[head % window].load(std::memory_order_relaxed) >> 32U;
        slot& s = slots_[index_at(head)];
        std::uint64_t word = generation << 2U | ready;
        if (!s.word.compare_exchange_strong(word, generation << 2U | claimed)) continue;
        s.value = s.function(s.value);
        word = generation << 2U | claimed;
        s.word.compare_exchange_strong(word, generation << 2U | done);
      }
    }
  }

 private:
  enum : std::uint64_t { ready = 1, claimed = 2, done = 3 };
  static constexpr std::uint64_t at_once = 8;  // hints by one move of the head
  struct alignas(128) slot {
    std::atomic<std::uint64_t> word;
    int (*function)(int);
    int value;
  };
  std::uint32_t index_at(std::uint64_t position) const {
    return static_cast<std::uint32_t>(hints_[position % window].load(std::memory_order_relaxed));
  }
  slot slots_[window];
  std::atomic<std::uint64_t> hints_[window];
  alignas(128) std::atomic<std::uint64_t> tail_;
  alignas(128) std::atomic<std::uint64_t> head_;
  // The parent's alone.
  alignas(128) std::uint64_t put_ = 0;
  std::uint64_t taken_ = 0;
  std::uint32_t free_[window], order_[window] = {}, free_count_ = window;
  std::uint64_t generations_[window] = {};
};

template <class Protocol>
class limit_contender final : public contender {
 public:
  limit_contender() {
    void* memory = ::mmap(nullptr, sizeof(Protocol), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    between_ = new (memory) Protocol{};
  }
  ~limit_contender() override { ::munmap(between_, sizeof(Protocol)); }

  double round_trips(int n, std::vector<double>& each) override {
    const child running(*between_);
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      between_->put(i);
      expect(between_->take() == i + 1);
      each.push_back(one.seconds());
    }
    return all.seconds();
  }
  double in_flight(int n) override {
    const child running(*between_);
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      if (i >= window) expect(between_->take() == i - window + 1);
      between_->put(i);
    }
    for (int i = std::max(0, n - window); i < n; ++i) expect(between_->take() == i + 1);
    return all.seconds();
  }

 private:
  // It never sleeps, so it lives only as long as it is measured; warm from the first moment.
  struct child {
    explicit child(Protocol& p) {
      const std::uint64_t from = p.puts();
      pid = ::fork();
      expect(pid >= 0);
      if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        p.serve(from);
      }
      for (int i = 0; i < window; ++i) p.put(i);
      for (int i = 0; i < window; ++i) expect(p.take() == i + 1);
    }
    ~child() {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    pid_t pid = 0;
  };

  Protocol* between_;
};

}  // namespace

std::vector<entry> limit_contenders() {
  return {{.name = "cache lines (the limit)",
           .make = [](int) { return std::make_unique<limit_contender<cache_lines>>(); }},
          {.name = "the protocol alone (the limit)",
           .make = [](int) { return std::make_unique<limit_contender<protocol>>(); }}};
}

}  // namespace bench
