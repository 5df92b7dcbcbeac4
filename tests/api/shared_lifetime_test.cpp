// What keeps a shared object, and that its memory is freed after its last user, whichever process
// dies.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>
#include <array>
#include <cstdlib>

#include <numeric>
#include <stdexcept>
#include <thread>

#include "objects/object_table.hpp"
#include "objects/parent_registry.hpp"
#include "support/shared_memory.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

constexpr std::size_t mib = std::size_t{1} << 20;

class shared_lifetime_test : public shared_test {};
PROCPOOL_FOR_EACH_START_METHOD(shared_lifetime_test);

shared_array<char> make(std::size_t n) {
  shared_array<char> a(n);
  a[n - 1] = 'x';
  return a;
}
char last_of(shared_array<char> a) { return a.back(); }
int own_pid() { return getpid(); }

// Nothing more than the counts of some workers.
bool is_back(std::uint64_t before) { return shared_bytes() < before + mib / 2; }

TEST_P(shared_lifetime_test, the_last_handle_gives_the_memory_back) {
  shared_array<char> a(mib), b = a;
  EXPECT_GE(shared_bytes(), before() + mib);
  a = {};
  EXPECT_GE(shared_bytes(), before() + mib);
  b = {};
  EXPECT_EQ(shared_bytes(), before());
}

TEST_P(shared_lifetime_test, a_thousand_arrays_are_made_and_freed) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(pool.submit(make, 5000U).get().back(), 'x');
  const std::uint64_t with_counts = shared_bytes();
  for (int i = 0; i < 1000; ++i) {
    const shared_array<char> a = pool.submit(make, 5000U + static_cast<std::size_t>(i)).get();
    ASSERT_EQ(a.back(), 'x');
    ASSERT_EQ(a.front(), 0);
  }
  EXPECT_EQ(shared_bytes(), with_counts);
}

TEST_P(shared_lifetime_test, arrays_that_a_task_makes_and_does_not_return) {
  process_pool_executor pool(options(1));
  const auto scratch = [](int) { return make(mib).size(); };
  for (const std::size_t n : pool.map(scratch, std::vector<int>(50))) EXPECT_EQ(n, mib);
  EXPECT_TRUE(is_back(before()));
}

TEST_P(shared_lifetime_test, a_queued_argument_keeps_the_array) {
  process_pool_executor pool(options(1));
  std::vector<future<char>> queued;
  for (int i = 0; i < 20; ++i) queued.push_back(pool.submit(last_of, make(mib)));
  for (future<char>& f : queued) EXPECT_EQ(f.get(), 'x');
  EXPECT_TRUE(is_back(before()));
}

TEST_P(shared_lifetime_test, unread_results_keep_the_array_until_their_futures_end) {
  process_pool_executor pool(options(1));
  std::vector<future<shared_array<char>>> unread;
  for (int i = 0; i < 5; ++i) unread.push_back(pool.submit(make, mib));
  wait(unread);
  EXPECT_GE(shared_bytes(), before() + 5 * mib);
  EXPECT_EQ(unread[0].get().back(), 'x');
  EXPECT_LT(shared_bytes(), before() + 5 * mib);
  unread.clear();
  EXPECT_TRUE(is_back(before()));
  for (int i = 0; i < 5; ++i) (void)pool.submit(make, mib);  // dropped before they are done
  EXPECT_EQ(pool.submit(make, mib).get().size(), mib);
  EXPECT_TRUE(eventually([&] { return is_back(before()); }));
}

TEST_P(shared_lifetime_test, results_outlive_their_pool) {
  std::optional<process_pool_executor> pool(std::in_place, options(1));
  future<shared_array<char>> read = pool->submit(make, mib), unread = pool->submit(make, mib);
  pool.reset();
  EXPECT_EQ(read.get().back(), 'x');
  EXPECT_FALSE(is_back(before()));
}

TEST_P(shared_lifetime_test, a_map_is_left_early) {
  process_pool_executor pool(options());
  {
    auto results = pool.map({.chunksize = 3}, make, std::vector<std::size_t>(100, mib / 8));
    int n = 0;
    for (const auto& a : results) {
      EXPECT_EQ(a.back(), 'x');
      if (++n == 10) break;
    }
  }
  EXPECT_TRUE(eventually([&] { return is_back(before()); }));
}

TEST_P(shared_lifetime_test, a_worker_dies_while_it_holds_an_array) {
  process_pool_executor pool(options(1));
  const auto keep = [](shared_array<char> a) {
    static shared_array<char> kept;
    kept = std::move(a);
    return getpid();
  };
  const int pid = pool.submit(keep, make(mib)).get();
  EXPECT_GE(shared_bytes(), before() + mib);  // the static variable
  kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return is_back(before()); }));
}

TEST_P(shared_lifetime_test, a_worker_drops_the_last_handle) {
  process_pool_executor pool(options(1));
  const auto keep = [](shared_array<char> a) {
    static shared_array<char> kept;
    kept = std::move(a);
    return kept.empty() ? ' ' : kept.back();
  };
  EXPECT_EQ(pool.submit(keep, make(mib)).get(), 'x');
  EXPECT_GE(shared_bytes(), before() + mib);
  EXPECT_EQ(pool.submit(keep, shared_array<char>()).get(), ' ');
  EXPECT_TRUE(eventually([&] { return is_back(before()); }));
}

TEST_P(shared_lifetime_test, a_worker_dies_with_an_array_that_it_has_made) {
  process_pool_executor pool(options(1));
  const auto die = [](std::size_t n) -> shared_array<char> {
    const shared_array<char> a = make(n), b = a;
    raise(SIGKILL);
    return b;
  };
  EXPECT_THROW(pool.submit(die, mib).get(), worker_crashed);
  EXPECT_TRUE(eventually([&] { return is_back(before()); }));
  EXPECT_EQ(pool.submit(make, mib).get().back(), 'x');
}

TEST_P(shared_lifetime_test, a_worker_dies_before_its_result_is_read) {
  process_pool_executor pool(options(1));
  const int pid = pool.submit(own_pid).get();
  future<shared_array<char>> f = pool.submit(make, mib), dropped = pool.submit(make, mib);
  // One whose outcome is too large for a slot.
  future<std::vector<shared_array<char>>> many =
      pool.submit([](std::size_t n) { return std::vector<shared_array<char>>(30, make(n)); }, mib);
  auto chunk = pool.map({.chunksize = 4}, make, std::vector<std::size_t>(8, mib));
  many.wait();
  EXPECT_EQ(pool.submit(own_pid).get(), pid);  // after the chunks
  kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return pool.submit(own_pid).get() != pid; }));
  dropped = {};
  const shared_array<char> got = f.get();
  EXPECT_EQ(got.back(), 'x');
  EXPECT_EQ(got.size(), mib);
  EXPECT_EQ(many.get().at(29).back(), 'x');
  int n = 0;
  for (const auto& a : chunk) n += a.back() == 'x' ? 1 : 0;
  EXPECT_EQ(n, 8);
}

TEST_P(shared_lifetime_test, finished_items_of_a_chunk_survive_the_next_item) {
  process_pool_executor pool(options(1));
  const auto third_kills = [](std::size_t i) {
    if (i == 2) raise(SIGKILL);
    return make(mib + i);
  };
  auto results = pool.map({.chunksize = 5}, third_kills, std::vector<std::size_t>{0, 1, 2, 3, 4});
  std::vector<std::size_t> sizes;
  int crashed = 0;
  for (auto& o : results.outcomes()) {
    if (o) {
      sizes.push_back(o.value().size() - mib);
      EXPECT_EQ(o.value().back(), 'x');
    } else {
      ++crashed;
    }
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 1, 3, 4}));
  EXPECT_EQ(crashed, 1);
}

TEST_P(shared_lifetime_test, retries_find_their_arguments) {
  process_pool_executor pool(options(1));
  const shared_array<int> attempts(1);
  const auto second_time = [](shared_array<int> n, shared_array<char> a) {
    if (++n[0] == 1) raise(SIGKILL);
    return a.back();
  };
  EXPECT_EQ(pool.submit({.retries = 1}, second_time, attempts, make(mib)).get(), 'x');
  EXPECT_EQ(attempts[0], 2);
}

TEST_P(shared_lifetime_test, cancelled_tasks_and_broken_pools_drop_their_handles) {
  {
    process_pool_executor pool(options(1));
    const shared_array<int> gate(1);
    const auto hold = [](std::span<int> g) {
      while (std::atomic_ref(g[0]).load() == 0) std::this_thread::yield();
    };
    auto running = pool.submit(hold, gate);
    auto queued = pool.submit(last_of, make(mib));
    EXPECT_TRUE(queued.cancel());
    queued = {};
    EXPECT_TRUE(is_back(before()));
    std::atomic_ref(gate[0]).store(1);
    running.get();
  }
  pool_options o = options(1);
  o.initializer = [] { throw std::runtime_error("no"); };
  process_pool_executor broken(o);
  future<char> f;
  try {
    f = broken.submit(last_of, make(mib));
    EXPECT_THROW(f.get(), broken_process_pool);
  } catch (const broken_process_pool&) {
    // it was broken by then
  }
  f = {};
  EXPECT_TRUE(is_back(before()));
}

struct fails_to_encode {
  int n = 0;
};

}  // namespace

template <>
struct procpool::codec<fails_to_encode> {
  static int to_wire(const fails_to_encode& f) {
    if (f.n < 0) throw std::runtime_error("cannot");
    return f.n;
  }
  static fails_to_encode from_wire(int n) { return {n}; }
};

namespace {

struct array_and_more {
  shared_array<char> array;
  fails_to_encode more;
};

TEST_P(shared_lifetime_test, a_result_that_cannot_be_encoded) {
  process_pool_executor pool(options(1));
  const auto half = [](int n) { return array_and_more{make(mib), {n}}; };
  EXPECT_THROW(pool.submit(half, -1).get(), std::runtime_error);
  EXPECT_TRUE(is_back(before()));
  int failed = 0;
  for (auto& o : pool.map({.chunksize = 3}, half, std::vector{1, -1, 2}).outcomes()) {
    failed += o ? 0 : 1;
  }
  EXPECT_EQ(failed, 1);
  EXPECT_TRUE(is_back(before()));
  EXPECT_THROW((void)pool.submit([](const array_and_more&) {}, array_and_more{make(mib), {-1}}),
               std::runtime_error);
  EXPECT_TRUE(is_back(before()));
}

TEST_P(shared_lifetime_test, results_that_moved_to_private_memory) {
  process_pool_executor pool(options());
  std::vector<future<shared_array<char>>> unread;
  for (int i = 0; i < 5; ++i) unread.push_back(pool.submit(make, mib));
  // More unread results than slots, so that these are harvested.
  constexpr int slots = 131'072;
  std::vector<future<int>> others;
  for (int i = 0; i < slots + 100; ++i) others.push_back(pool.submit([](int x) { return x; }, i));
  EXPECT_EQ(others.back().get(), slots + 99);
  EXPECT_EQ(unread[3].get().back(), 'x');
  EXPECT_GE(shared_bytes(), before() + 4 * mib);
  unread.clear();
  EXPECT_TRUE(is_back(before()));
}

// A task writes where it must not, into the table: what it returns is an error, and nothing else.
TEST_P(shared_lifetime_test, a_damaged_table_costs_the_result) {
  const auto scribble = [](std::uint64_t word, std::uint64_t bytes) {
    shared_array<char> a(100);
    shm::process_page& page = *shm::current_page();
    auto* entries = reinterpret_cast<shm::object_entry*>(
        reinterpret_cast<std::byte*>(&page) +
        shm::object_plan::of(page.objects.ids, page.objects.rows, page.objects.stride)
            .entries_offset);
    for (std::uint32_t id = 1; id < page.objects.allocated; ++id) {
      if (shm::object_row_of(entries[id].word) == 0) continue;
      if (word != 0) entries[id].word = word;
      if (bytes != 0) entries[id].bytes = bytes;
    }
    return a;
  };
  {
    process_pool_executor pool(options(1));
    EXPECT_THROW(pool.submit(scribble, std::uint64_t{0}, std::uint64_t{1} << 60).get(),
                 codec_error);
    EXPECT_EQ(pool.submit(make, 100U).get().back(), 'x');
  }
  {
    process_pool_executor pool(options(1));
    EXPECT_THROW(pool.submit(scribble, std::uint64_t{0x123451}, std::uint64_t{0}).get(),
                 codec_error);
    EXPECT_EQ(pool.submit(make, 100U).get().back(), 'x');
  }
  // What it stole is lost until this process ends: the tables are not repaired.
  count_from_here();
}

struct padded {
  shared_array<int> array;
  std::array<char, 200> more;  // so that the outcome lies in a block
};

// A record that lost its slot in the sweep gets another one, whose generations begin anew.
TEST_P(shared_lifetime_test, results_after_a_record_changed_its_slot) {
  const auto make_padded = [](int n) {
    padded p{shared_array<int>(static_cast<std::size_t>(n)), {}};
    p.array[0] = 7;
    return p;
  };
  const auto make_one = [](int n) {
    shared_array<int> a(1);
    a[0] = n;
    return a;
  };
  {
    // The table of objects grows to as many as there are at once, and stays.
    std::vector<shared_array<int>> at_once;
    for (int i = 0; i < 700; ++i) at_once.emplace_back(1U);
  }
  count_from_here();
  process_pool_executor pool(options(1));
  {
    auto kept = pool.submit(make_padded, 10);
    kept.wait();
    EXPECT_THROW(pool.submit([] { std::abort(); }).get(), worker_crashed);
    EXPECT_EQ(kept.get().array[0], 7);
  }
  std::vector<future<shared_array<int>>> more;
  for (int i = 0; i < 600; ++i) more.push_back(pool.submit(make_one, i));
  for (int i = 0; i < 600; ++i) ASSERT_EQ(more[static_cast<std::size_t>(i)].get()[0], i);
}

// As a worker leaves it that is killed in between: a page for its counts, without a report.
TEST_P(shared_lifetime_test, a_page_of_counts_that_a_worker_has_not_reported) {
  parent::parent_registry& all = parent::parent_registry::instance();
  const shm::u32 row = all.acquire_row();
  ASSERT_NE(row, 0U);
  const shm::object_table table(shm::parent_page_fd(), shm::parent_page());
  count_from_here();
  ASSERT_EQ(table.allocate_row_page(row, 0), 0);
  EXPECT_GT(shared_bytes(), before());
  all.put_back_row(row);
}

}  // namespace
