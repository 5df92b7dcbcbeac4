// Tasks that overwrite one word of what the parent and its workers share: it costs that task and
// its worker, and no other process waits, crashes or runs out of memory. What is overwritten at
// random is in tests/chaos/wild_worker_test.cpp.
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <numeric>
#include <optional>
#include <ranges>
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

int twice(int x) { return 2 * x; }
std::string text(std::size_t n) { return std::string(n, 'y'); }

enum class lie {
  worker_beyond_all,
  another_worker,
  no_phase,
  ready_again,
  killed,
  free,
  another_generation,
  unused_bits,
  zero,
  ones,
};
constexpr lie all_lies[] = {lie::worker_beyond_all,
                            lie::another_worker,
                            lie::no_phase,
                            lie::ready_again,
                            lie::killed,
                            lie::free,
                            lie::another_generation,
                            lie::unused_bits,
                            lie::zero,
                            lie::ones};

u64 lie_for(u64 word, lie l) {
  switch (l) {
    case lie::worker_beyond_all:
      return shm::make_word(word, task_phase::claimed, 4000, word & shm::flags_mask);
    case lie::another_worker:
      return word ^ u64 { 1 } << shm::worker_shift;
    case lie::no_phase:
      return (word & ~shm::phase_mask) | 13;
    case lie::ready_again:
      return shm::make_word(word, task_phase::ready, 0, word & shm::flags_mask);
    case lie::killed:
      return shm::with_phase(word, task_phase::kill);
    case lie::free:
      return shm::with_phase(word, task_phase::free);
    case lie::another_generation:
      return word + (u64{1} << shm::generation_shift);
    case lie::unused_bits:
      return word | shm::unused_mask;
    case lie::zero:
      return 0;
    case lie::ones:
      return ~u64{0};
  }
  return 0;
}

int lie_about_itself(lie l, bool dies) {
  each_slot_of_this_worker(task_phase::claimed,
                           [l](shm::slot& s) { s.word.store(lie_for(s.word.load(), l)); });
  if (dies) std::raise(SIGKILL);
  return 7;
}

class hostile_worker_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(hostile_worker_test);

// Null if it has a value in time.
std::exception_ptr error_of(future<int>& f, int expected) {
  try {
    EXPECT_EQ(f.get_for(30s), expected);
  } catch (const timeout_error& e) {
    ADD_FAILURE() << e.what();
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}
void expect_crash(const std::exception_ptr& e) {
  ASSERT_TRUE(e);
  try {
    std::rethrow_exception(e);
  } catch (const worker_crashed& crash) {
    EXPECT_EQ(crash.signal(), SIGKILL) << crash.what();
  } catch (const cancelled_error&) {  // as KILL says
  } catch (const codec_error& damage) {
    EXPECT_NE(std::string(damage.what()).find("wrote where it must not"), std::string::npos);
  } catch (const std::exception& other) {
    ADD_FAILURE() << other.what();
  }
}

TEST_P(hostile_worker_test, a_task_that_lies_about_its_state_and_crashes) {
  for (const lie l : all_lies) {
    SCOPED_TRACE(static_cast<int>(l));
    process_pool_executor pool(options(2));
    future<int> liar = pool.submit(lie_about_itself, l, true);
    expect_crash(error_of(liar, 0));
    for (int i = 0; i < 4; ++i) EXPECT_EQ(pool.submit(twice, i).get_for(30s), 2 * i);
    const auto before = std::chrono::steady_clock::now();
    pool.shutdown({.timeout = 1s});
    EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  }
}

int claim_not_to_have_started(int item) {
  if (item != 3) return item;
  each_slot_of_this_worker(task_phase::claimed, [](shm::slot& s) { s.started.store(0); });
  return std::raise(SIGKILL);
}

// It would run in one worker after the other, until the pool gives up.
TEST_P(hostile_worker_test, a_task_that_claims_not_to_have_started_and_crashes) {
  for (const int workers : {1, 2}) {
    process_pool_executor pool(options(workers));
    future<int> liar = pool.submit(claim_not_to_have_started, 3);
    expect_crash(error_of(liar, 0));
    int lost = 0;
    for (auto& o :
         pool.map(map_options{.chunksize = 4}, claim_not_to_have_started, std::views::iota(0, 16))
             .outcomes()) {
      if (!o) ++lost;
    }
    EXPECT_GE(lost, 1);
    EXPECT_LE(lost, 4);  // those of its chunk at most
    EXPECT_EQ(pool.submit(twice, 2).get_for(30s), 4);
  }
}

TEST_P(hostile_worker_test, a_task_that_lies_about_its_state_and_returns) {
  for (const lie l : all_lies) {
    SCOPED_TRACE(static_cast<int>(l));
    process_pool_executor pool(options(2));
    future<int> liar = pool.submit(lie_about_itself, l, false);
    // Its own word is what it returned by, so it may be believed.
    if (const std::exception_ptr e = error_of(liar, 7)) expect_crash(e);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(pool.submit(twice, i).get_for(30s), 2 * i);
    const auto before = std::chrono::steady_clock::now();
    pool.shutdown({.timeout = 1s});
    EXPECT_LT(std::chrono::steady_clock::now() - before, 20s);
  }
}

TEST_P(hostile_worker_test, a_wait_for_many_futures_finds_a_task_that_lies) {
  for (const lie l : all_lies) {
    SCOPED_TRACE(static_cast<int>(l));
    process_pool_executor pool(options(2));
    std::vector<future<int>> all;
    all.push_back(pool.submit(lie_about_itself, l, true));
    all.push_back(pool.submit(twice, 4));
    int heard = 0;
    for (auto& f : as_completed(all, 30s)) {
      heard += f.valid() ? 1 : 0;
    }
    EXPECT_EQ(heard, 2);
    // And a task whose future is not kept.
    static_cast<void>(pool.submit(lie_about_itself, l, true));
    pool.shutdown({.timeout = 5s});
  }
}

// --- how much there is of an outcome ---

enum class progress_lie { units, items, first, begun, place };

std::string item(int i, progress_lie l) {
  if (i != 5) return std::string(100, 'x');
  each_slot_of_this_worker(task_phase::claimed, [l](shm::slot& s) {
    if ((s.traits & shm::is_chunk) == 0) return;
    auto& p = *reinterpret_cast<shm::chunk_progress*>(s.bytes);
    const u64 progress = p.progress.load();
    switch (l) {
      case progress_lie::units:
        p.progress.store(shm::make_progress(shm::progress_finished(progress), ~u32{0}));
        break;
      case progress_lie::items:
        p.progress.store(shm::make_progress(1'000'000, shm::progress_units(progress)));
        break;
      case progress_lie::first:
        p.first = p.count = 1'000'000;
        break;
      case progress_lie::begun:
        p.begun.store(1'000'000);
        break;
      case progress_lie::place:
        p.outcomes.store(u64{1} << 40U);
        break;
    }
  });
  std::raise(SIGKILL);
  return {};
}

TEST_P(hostile_worker_test, a_chunk_that_lies_about_its_progress) {
  for (const progress_lie l : {progress_lie::units, progress_lie::items, progress_lie::first,
                               progress_lie::begun, progress_lie::place}) {
    SCOPED_TRACE(static_cast<int>(l));
    process_pool_executor pool(options(3));
    // So that the region's file ends far after the liar's part of it.
    std::vector<future<std::string>> large;
    for (int i = 0; i < 30; ++i) large.push_back(pool.submit(text, std::size_t{1000}));
    for (auto& f : large) EXPECT_EQ(f.get_for(30s).size(), 1000U);
    std::vector<int> items(40);
    std::iota(items.begin(), items.end(), 0);
    const auto run = [](int i, progress_lie how) { return item(i, how); };
    std::vector<progress_lie> how(items.size(), l);
    for (auto& o :
         pool.map(map_options{.chunksize = 10, .timeout = 30s}, run, items, how).outcomes()) {
      if (o) {
        EXPECT_EQ(*o, std::string(100, 'x'));
      } else {
        EXPECT_LT(o.index(), 10U) << o.what();
      }
      EXPECT_EQ(o.index() == 5 && o, false);
    }
    pool.shutdown({.timeout = 5s});
  }
}

// In MiB.
std::size_t shared_memory_of_this_process() {
  std::ifstream status("/proc/self/status");
  std::size_t kib = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssShmem:")) kib = std::stoul(line.substr(9));
  }
  return kib >> 10U;
}

int stretch_outcomes(std::size_t bytes, bool dies) {
  int n = 0;
  each_slot_of_this_worker(task_phase::done, [&](shm::slot& s) {
    if (s.block.load() == 0) return;
    s.length.store(bytes);
    ++n;
  });
  if (dies) std::raise(SIGKILL);
  return n;
}

TEST_P(hostile_worker_test, lengths_of_unread_outcomes) {
  for (const bool dies : {true, false}) {
    process_pool_executor pool(options(1));
    std::vector<future<std::string>> all;
    for (int i = 0; i < 20; ++i) all.push_back(pool.submit(text, std::size_t{1000}));
    for (auto& f : all) f.wait();
    const std::size_t before = shared_memory_of_this_process();
    try {
      EXPECT_EQ(pool.submit(stretch_outcomes, std::size_t{1} << 30U, dies).get_for(30s), 20);
      EXPECT_FALSE(dies);
    } catch (const worker_crashed&) {
      EXPECT_TRUE(dies);
    }
    for (auto& f : all) {
      try {
        EXPECT_EQ(f.get_for(30s).size(), 1000U);
        ADD_FAILURE() << "its length was overwritten";
      } catch (const codec_error&) {
      }
    }
    // 20 GiB of nothing were neither read nor copied.
    EXPECT_LT(shared_memory_of_this_process(), before + 100);
    EXPECT_EQ(pool.submit(twice, 4).get_for(30s), 8);
  }
}

// --- what workers say of themselves, and to each other ---

enum class line_lie { ready, tasks, list, list_beyond, texts };

int lie_about_its_worker(line_lie l, bool dies) {
  shm::worker_block& line = block_of_this_worker();
  switch (l) {
    case line_lie::ready:
      line.ready.store(2);
      break;
    case line_lie::tasks:
      line.tasks.store(~u64{0});
      break;
    case line_lie::list:
      line.done_list.store(1);
      break;
    case line_lie::list_beyond:
      line.done_list.store(~u32{0});
      break;
    case line_lie::texts:
      line.report_length.store(~u32{0});
      line.trace_length.store(~u32{0});
      break;
  }
  if (dies) std::raise(SIGKILL);
  return 7;
}

void initialise() {}

TEST_P(hostile_worker_test, a_task_that_lies_about_its_worker) {
  for (const bool dies : {true, false}) {
    pool_options o = options(2);
    o.initializer = initialise;
    process_pool_executor pool(o);
    for (const line_lie l : {line_lie::ready, line_lie::tasks, line_lie::list,
                             line_lie::list_beyond, line_lie::texts}) {
      SCOPED_TRACE(static_cast<int>(l));
      future<int> liar = pool.submit(lie_about_its_worker, l, dies);
      std::vector<future<int>> others;
      for (int i = 0; i < 20; ++i) others.push_back(pool.submit(twice, i));
      int heard = 0;
      for (auto& f : as_completed(others, 30s)) heard += f.valid() ? 1 : 0;
      EXPECT_EQ(heard, 20);
      for (int i = 0; i < 20; ++i) EXPECT_EQ(others[static_cast<std::size_t>(i)].get(), 2 * i);
      EXPECT_EQ(error_of(liar, 7) != nullptr, dies);
    }
    EXPECT_EQ(pool.submit(twice, 4).get_for(30s), 8);
  }
}

enum class control_lie { head_beyond, head_before, tail, roles, asleep, stopping };

int lie_to_all(control_lie l) {
  shm::control_block& c = control_of_this_worker();
  switch (l) {
    case control_lie::head_beyond:
      c.head.store(u64{1} << 60U);
      break;
    case control_lie::head_before:
      c.head.fetch_sub(u64{1} << 20U);
      break;
    case control_lie::tail:
      c.tail.store(u64{1} << 60U);
      break;
    case control_lie::roles:
      c.roles.store(~u64{0});
      break;
    case control_lie::asleep:
      c.asleep[0].store(~u64{0});
      break;
    case control_lie::stopping:
      c.stopping.store(1);
      break;
  }
  return 7;
}

TEST_P(hostile_worker_test, a_task_that_writes_over_the_ring_and_the_roles) {
  process_pool_executor pool(options(2));
  for (const control_lie l : {control_lie::head_beyond, control_lie::head_before, control_lie::tail,
                              control_lie::roles, control_lie::asleep, control_lie::stopping}) {
    SCOPED_TRACE(static_cast<int>(l));
    future<int> liar = pool.submit(lie_to_all, l);
    std::vector<future<int>> others;
    for (int i = 0; i < 20; ++i) others.push_back(pool.submit(twice, i));
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(others[static_cast<std::size_t>(i)].get_for(30s), 2 * i);
    }
    EXPECT_EQ(liar.get_for(30s), 7);
  }
  pool.shutdown({.timeout = 5s});
}

// What a worker notes of a task with a time limit.
enum class stamp_lie { clear, another_task, begin_long_ago, begin_later };

int lie_about_its_stamp(stamp_lie l, bool hangs) {
  shm::run_stamp& stamp = block_of_this_worker().running;
  if (l == stamp_lie::clear) stamp.begin.store(0);
  if (l == stamp_lie::another_task) stamp.task.store(~u64{0});
  if (l == stamp_lie::begin_long_ago) stamp.begin.store(2);
  if (l == stamp_lie::begin_later) stamp.begin.store(~u64{0});
  while (hangs) pause();
  return 7;
}

// It ends, if late; and a task that says to be older than it is does not end early.
TEST_P(hostile_worker_test, a_task_that_overwrites_its_stamp) {
  process_pool_executor pool(options(1));
  for (const stamp_lie l : {stamp_lie::clear, stamp_lie::another_task, stamp_lie::begin_long_ago,
                            stamp_lie::begin_later}) {
    auto slow = pool.submit({.time_limit = 300ms}, lie_about_its_stamp, l, true);
    EXPECT_THROW(slow.get_for(60s), task_timeout) << static_cast<int>(l);
    auto quick = pool.submit({.time_limit = 1h}, lie_about_its_stamp, l, false);
    EXPECT_EQ(quick.get_for(60s), 7) << static_cast<int>(l);
    EXPECT_EQ(pool.submit(twice, 4).get(), 8);
  }
}

}  // namespace
