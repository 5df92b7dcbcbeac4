// The limit: what two processes and a row of cache lines can do, with nothing that a library owes
// its users. One line for each task goes there and comes back; the child knows beforehand what to
// run and in which order, nobody sleeps, and no task has a future, an error or a worker that may
// die.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <new>

#include "contender.hpp"
#include "pooled.hpp"
#include "work.hpp"

namespace bench {
namespace {

struct alignas(64) line {
  std::atomic<std::uint64_t> turn;  // odd: the child's; even: the parent's
  int value;
};
constexpr std::size_t ahead = 4;  // lines that are asked for before they are needed

void ask_for(const line& l) {
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

class limit_contender final : public contender {
 public:
  limit_contender() {
    void* memory = ::mmap(nullptr, sizeof(line) * window, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    expect(memory != MAP_FAILED);
    lines_ = new (memory) line[window]{};
  }
  ~limit_contender() override { ::munmap(lines_, sizeof(line) * window); }

  double round_trips(int n, std::vector<double>& each) override {
    const child running(*this);
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      const stopwatch one;
      put(i);
      expect(take() == i + 1);
      each.push_back(one.seconds());
    }
    return all.seconds();
  }
  double in_flight(int n) override {
    const child running(*this);
    const stopwatch all;
    for (int i = 0; i < n; ++i) {
      if (i >= window) expect(take() == i - window + 1);
      put(i);
    }
    for (int i = std::max(0, n - window); i < n; ++i) expect(take() == i + 1);
    return all.seconds();
  }

 private:
  // It never sleeps, so it lives only as long as it is measured; warm from the first moment.
  struct child {
    explicit child(limit_contender& c) : pid(::fork()) {
      expect(pid >= 0);
      if (pid == 0) c.serve();
      for (int i = 0; i < window; ++i) c.put(i);
      for (int i = 0; i < window; ++i) expect(c.take() == i + 1);
    }
    ~child() {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    pid_t pid;
  };

  [[noreturn]] void serve() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (std::uint64_t k = put_;; ++k) {
      line& l = lines_[k % window];
      const std::uint64_t mine = k / window * 2 + 1;
      while (l.turn.load(std::memory_order_acquire) != mine) pause();
      ask_for(lines_[(k + ahead) % window]);
      l.value = next_of(l.value);
      l.turn.store(mine + 1, std::memory_order_release);
    }
  }
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

  line* lines_;
  std::uint64_t put_ = 0, taken_ = 0;
};

}  // namespace

std::vector<entry> limit_contenders() {
  return {{.name = "cache lines (the limit)",
           .make = [](int) { return std::make_unique<limit_contender>(); }}};
}

}  // namespace bench
