// Tasks that write random values over random words of their own slot, of their worker's line and of
// what all workers share, and then return or crash, among tasks that do their work. Every
// future resolves in time, values are right, the parent lives, and the pool closes.
//
// PROCPOOL_SEED is the seed of the first round, PROCPOOL_ROUNDS is how many there are.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "support/pool_test.hpp"
#include "support/wild_task.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using shm::task_phase;
using shm::u32;
using shm::u64;

constexpr duration unresolved_after = 40s;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

std::string text_of(int i) { return std::string(static_cast<std::size_t>(i) * 40 + 1, 'x'); }
int twice(int x) { return 2 * x; }

class scribbler {
 public:
  explicit scribbler(std::uint32_t seed) : random_(seed) {}

  void scribble(void* begin, std::size_t bytes) {
    auto* const words = static_cast<u32*>(begin);
    const std::size_t count = bytes / sizeof(u32);
    for (std::uint32_t n = 1 + random() % 4; n != 0; --n) {
      std::atomic_ref<u32> word(words[random() % count]);
      switch (random() % 6) {
        case 0:
          word.store(0);
          break;
        case 1:
          word.store(~u32{0});
          break;
        case 2:
          word.store(random());
          break;
        case 3:
          word.store(random() % 300);
          break;
        case 4:
          word.fetch_xor(u32{1} << random() % 32);
          break;
        default:
          word.store(std::atomic_ref<u32>(words[random() % count]).load());
      }
    }
  }
  std::uint32_t random() { return static_cast<std::uint32_t>(random_()); }

 private:
  std::mt19937 random_;
};

// The word and the fields of the slot and of a chunk more often than the value after them.
void scribble_somewhere(scribbler& s) {
  switch (s.random() % 8) {
    case 0:
      s.scribble(&block_of_this_worker(), sizeof(shm::worker_block));
      break;
    case 1:
      s.scribble(&block_of_this_worker(), 256);
      break;
    case 2:
      s.scribble(&control_of_this_worker(), 5 * 128);
      break;
    case 3:
      each_slot_of_this_worker(task_phase::done,
                               [&](shm::slot& slot) { s.scribble(&slot.block, 24); });
      break;
    case 4:
      each_slot_of_this_worker(task_phase::claimed,
                               [&](shm::slot& slot) { s.scribble(&slot, 16); });
      break;
    default:
      each_slot_of_this_worker(task_phase::claimed,
                               [&](shm::slot& slot) { s.scribble(&slot, sizeof slot); });
  }
}

int go_wild(std::uint32_t seed) {
  scribbler s(seed);
  const std::uint32_t end = s.random() % 4;
  std::vector<shm::slot*> mine;
  each_slot_of_this_worker(task_phase::claimed, [&](shm::slot& slot) { mine.push_back(&slot); });
  scribble_somewhere(s);
  // A task that says that it is over is believed: its slot may be the next task's before it
  // returns, whose arguments its result would overwrite.
  for (const shm::slot* slot : mine) {
    if (shm::is_resolved(slot->word.load())) std::raise(SIGKILL);
  }
  if (end == 0) ::_exit(3);
  if (end == 1) std::raise(SIGKILL);
  return 7;
}

std::string item(int i, std::uint32_t seed) {
  if (i % 16 == 5) go_wild(seed + static_cast<std::uint32_t>(i));
  return text_of(i);
}

struct outcomes {
  int values = 0, errors = 0;
};

// Any error is one that a task may cause which writes anywhere; no answer is none, and no value
// that a task of ours returned is another.
template <class T>
void settle(future<T>& f, const T& expected, outcomes& all, const char* what) {
  try {
    const T value = f.get_for(unresolved_after);
    ++all.values;
    EXPECT_EQ(value, expected) << what;
  } catch (const timeout_error&) {
    ADD_FAILURE() << what << " did not resolve";
  } catch (const std::exception&) {
    ++all.errors;
  }
}

void run_round(const pool_options& options, std::uint32_t seed, outcomes& all) {
  process_pool_executor pool(options);
  std::vector<future<int>> wild, small;
  std::vector<future<std::string>> large;
  try {
    for (int i = 0; i < 30; ++i) {
      const auto at = static_cast<std::uint32_t>(i);
      large.push_back(pool.submit(text_of, i));
      if (i % 6 == 0) wild.push_back(pool.submit(go_wild, seed * 1000 + at));
      if (i % 12 == 1) {
        wild.push_back(pool.submit(task_options{.retries = 1}, go_wild, seed * 1000 + 100 + at));
      }
      small.push_back(pool.submit(twice, i));
    }
    // This future is not kept.
    static_cast<void>(pool.submit(go_wild, seed * 1000 + 200));
    std::vector<int> items(64);
    std::iota(items.begin(), items.end(), 0);
    const std::vector<std::uint32_t> seeds(items.size(), seed * 1000 + 300);
    const map_options how{.chunksize = 16, .timeout = unresolved_after};
    for (auto& o : pool.map(how, item, items, seeds).outcomes()) {
      // An item may have overwritten others of its own chunk, before or after.
      ++(o ? all.values : all.errors);
    }
    int heard = 0;
    for (auto& f : as_completed(small, unresolved_after)) heard += f.valid() ? 1 : 0;
    EXPECT_EQ(heard, 30);
  } catch (const broken_process_pool&) {
    // Workers may be unable to start again and again.
  } catch (const timeout_error& e) {
    ADD_FAILURE() << e.what();
  }
  for (std::size_t i = 0; i < small.size(); ++i) {
    settle(small[i], 2 * static_cast<int>(i), all, "a small task");
  }
  for (std::size_t i = 0; i < large.size(); ++i) {
    // Its outcome may have been overwritten where it lay, by a task of the same worker.
    try {
      static_cast<void>(large[i].get_for(unresolved_after));
      ++all.values;
    } catch (const timeout_error&) {
      ADD_FAILURE() << "a large task did not resolve";
    } catch (const std::exception&) {
      ++all.errors;
    }
  }
  for (future<int>& f : wild) {
    try {
      static_cast<void>(f.get_for(unresolved_after));
    } catch (const timeout_error&) {
      ADD_FAILURE() << "a wild task did not resolve";
    } catch (const std::exception&) {
      ++all.errors;
    }
  }
  const auto before = std::chrono::steady_clock::now();
  pool.shutdown({.cancel_futures = true, .timeout = 2s});
  EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
}

class wild_worker_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(wild_worker_test);

TEST_P(wild_worker_test, a_stray_write_costs_only_the_tasks_that_it_hits) {
  const auto first = static_cast<std::uint32_t>(setting("PROCPOOL_SEED", 1));
  const auto rounds = static_cast<std::uint32_t>(setting("PROCPOOL_ROUNDS", 12));
  outcomes all;
  const auto until = std::chrono::steady_clock::now() + 25s;
  std::uint32_t seed = first;
  for (; seed < first + rounds && !HasFailure(); ++seed) {
    SCOPED_TRACE("PROCPOOL_SEED=" + std::to_string(seed));
    run_round(options(3), seed, all);
    if (rounds <= 12 && std::chrono::steady_clock::now() > until) break;
  }
  std::cout << "seeds " << first << " to " << seed - 1 << ": " << all.values << " values, "
            << all.errors << " errors\n";
  EXPECT_GT(all.values, 0);
  EXPECT_GT(all.errors, 0);
}

}  // namespace
