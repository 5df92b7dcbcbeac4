// Transactions: all changes or none, wherever the process dies.
#include "sync/transaction.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;
using sync::transaction;
using sync::u64;

struct words {
  sync::guarded_header header;
  std::atomic<u64> a, b, c;
};
constexpr std::size_t records = 4;

class transaction_test : public leak_free_test {
 protected:
  transaction_test() {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = {static_cast<std::byte*>(data), bytes, records};
  }
  ~transaction_test() override { munmap(memory.data, bytes); }

  words& w() { return memory.as<words>(); }
  void in_a_process(const std::function<void()>& f) {
    const pid_t child = fork();
    if (child == 0) {
      f();
      _exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }

  static constexpr std::size_t bytes = sizeof(words) + records * sizeof(sync::undo_record);
  sync::guarded_memory memory{};
};

TEST_F(transaction_test, a_death_rolls_all_changes_back) {
  {
    transaction tx(memory);
    tx.set(w().a, 1);
    tx.set(w().b, 2);
  }
  in_a_process([this] {
    transaction tx(memory);
    tx.set(w().a, 10);
    tx.set(w().b, 20);
    tx.set(w().a, 11);
    raise(SIGKILL);
  });
  EXPECT_EQ(w().a, 11U);
  // The next process dies as well, after it has rolled back.
  in_a_process([this] {
    transaction tx(memory);
    tx.set(w().c, 3);
    raise(SIGKILL);
  });
  const transaction tx(memory);
  EXPECT_EQ(w().a, 1U);
  EXPECT_EQ(w().b, 2U);
  EXPECT_EQ(w().c, 0U);
  EXPECT_EQ(w().header.lock.owner_died, 1U);
}

TEST_F(transaction_test, committed_changes_stay) {
  in_a_process([this] {
    {
      transaction tx(memory);
      tx.add(w().a, 5);
    }
    raise(SIGKILL);
  });
  const transaction tx(memory);
  EXPECT_EQ(w().a, 5U);
  EXPECT_EQ(w().header.lock.owner_died, 0U);
}

TEST_F(transaction_test, an_undo_log_that_a_process_has_overwritten) {
  w().header.undo_count = 1'000'000;
  for (std::size_t i = 0; i < records; ++i) {
    memory.undo_log()[i].offset = i == 0 ? ~u64{0} : 3;
    memory.undo_log()[i].old_value = 99;
  }
  transaction tx(memory);
  for (u64 i = 0; i < 10; ++i) tx.set(w().a, i);  // more than there is room for
  EXPECT_EQ(w().a, records - 1);
}

TEST_F(transaction_test, threads_exclude_each_other) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 5000; ++n) {
        transaction tx(memory);
        EXPECT_EQ(transaction::get(w().a), transaction::get(w().b));
        tx.add(w().a, 1);
        tx.add(w().b, 1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(w().a, 20'000U);
}

TEST_F(transaction_test, one_process_at_a_time_checks_liveness) {
  EXPECT_TRUE(w().header.is_time_to_check_liveness());
  EXPECT_FALSE(w().header.is_time_to_check_liveness());
  EXPECT_TRUE(eventually([this] { return w().header.is_time_to_check_liveness(); }));
  w().header.liveness_checked_ns = ~u64{0};  // in the future: a process has overwritten it
  EXPECT_TRUE(w().header.is_time_to_check_liveness());
}

TEST_F(transaction_test, holdings_of_dead_processes) {
  std::vector<sync::holding> row(4);
  const sync::holdings all{row.data(), row.size()};
  const sync::guarded_memory around = memory;
  {
    transaction tx(around);
    sync::holding* mine = all.find_or_add(tx, os::this_process_owner());
    ASSERT_NE(mine, nullptr);
    EXPECT_EQ(all.find(os::this_process_owner()), mine);
    EXPECT_EQ(all.find_or_add(tx, os::this_process_owner()), mine);
  }
  const os::owner_id dead = os::this_process_owner() - (os::owner_id{1} << 22U);  // an older one
  for (sync::holding& h : row) {
    if (h.owner == os::no_owner) {
      h.owner = dead;
      h.count = 7;
      break;
    }
  }
  u64 back = 0;
  EXPECT_TRUE(all.reap_dead(around, [&](transaction&, u64 n) { back += n; }));
  EXPECT_EQ(back, 7U);
  EXPECT_EQ(all.find(dead), nullptr);
  EXPECT_NE(all.find(os::this_process_owner()), nullptr);
}

// The entry of a living process that holds nothing any more is given to another process.
TEST_F(transaction_test, holdings_of_processes_that_hold_nothing) {
  std::vector<sync::holding> row(2);
  const sync::holdings all{row.data(), row.size()};
  const auto place_of = [&](os::owner_id owner) {
    transaction tx(memory);
    return all.find_or_add(tx, owner);
  };
  const os::owner_id others[] = {os::this_thread_owner(), os::this_thread_owner() + 1};
  for (const os::owner_id owner : others) place_of(owner)->count = 1;
  EXPECT_EQ(place_of(os::this_process_owner()), nullptr);
  all.find(others[1])->count = 0;
  EXPECT_EQ(place_of(os::this_process_owner()), &row[others[1] % 2]);
  EXPECT_EQ(all.find(others[1]), nullptr);
}

}  // namespace
