// Sections: all changes or none, whoever dies where.
#include "sync/section.hpp"

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
using sync::section;
using sync::u64;

struct words {
  sync::monitor monitor;
  std::atomic<u64> a, b, c;
};
constexpr std::size_t records = 4;

class section_test : public leak_free_test {
 protected:
  section_test() {
    void* data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = {static_cast<std::byte*>(data), bytes, records};
  }
  ~section_test() override { munmap(memory.data, bytes); }

  words& w() { return memory.as<words>(); }
  void in_a_process(const std::function<void()>& f) {
    const pid_t child = fork();
    if (child == 0) {
      f();
      _exit(0);
    }
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }

  static constexpr std::size_t bytes = sizeof(words) + records * sizeof(sync::journal_record);
  sync::guarded_memory memory{};
};

TEST_F(section_test, a_death_takes_all_changes_back) {
  {
    section s(memory);
    s.set(w().a, 1);
    s.set(w().b, 2);
  }
  in_a_process([this] {
    section s(memory);
    s.set(w().a, 10);
    s.set(w().b, 20);
    s.set(w().a, 11);
    raise(SIGKILL);
  });
  EXPECT_EQ(w().a, 11U);
  // The next one dies as well, once it has put things right.
  in_a_process([this] {
    section s(memory);
    s.set(w().c, 3);
    raise(SIGKILL);
  });
  const section s(memory);
  EXPECT_EQ(w().a, 1U);
  EXPECT_EQ(w().b, 2U);
  EXPECT_EQ(w().c, 0U);
  EXPECT_EQ(w().monitor.lock.died, 1U);
}

TEST_F(section_test, what_has_ended_stays) {
  in_a_process([this] {
    {
      section s(memory);
      s.add(w().a, 5);
    }
    raise(SIGKILL);
  });
  const section s(memory);
  EXPECT_EQ(w().a, 5U);
  EXPECT_EQ(w().monitor.lock.died, 0U);
}

TEST_F(section_test, a_journal_that_somebody_has_written_in) {
  w().monitor.written = 1'000'000;
  for (std::size_t i = 0; i < records; ++i) {
    memory.journal()[i].where = i == 0 ? ~u64{0} : 3;
    memory.journal()[i].before = 99;
  }
  section s(memory);
  for (u64 i = 0; i < 10; ++i) s.set(w().a, i);  // more than there is room for
  EXPECT_EQ(w().a, records - 1);
}

TEST_F(section_test, threads_exclude_each_other) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      for (int n = 0; n < 5000; ++n) {
        section s(memory);
        EXPECT_EQ(section::get(w().a), section::get(w().b));
        s.add(w().a, 1);
        s.add(w().b, 1);
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(w().a, 20'000U);
}

TEST_F(section_test, only_one_looks_for_the_dead_at_a_time) {
  EXPECT_TRUE(w().monitor.is_time_to_patrol());
  EXPECT_FALSE(w().monitor.is_time_to_patrol());
  EXPECT_TRUE(eventually([this] { return w().monitor.is_time_to_patrol(); }));
  w().monitor.patrolled = ~u64{0};  // in the future: somebody has written there
  EXPECT_TRUE(w().monitor.is_time_to_patrol());
}

TEST_F(section_test, tallies_of_the_dead) {
  std::vector<sync::tally> row(4);
  const sync::tallies all{row.data(), row.size()};
  const sync::guarded_memory around = memory;
  {
    section s(around);
    sync::tally* mine = all.of_or_new(s, os::this_process_owner());
    ASSERT_NE(mine, nullptr);
    EXPECT_EQ(all.of(os::this_process_owner()), mine);
    EXPECT_EQ(all.of_or_new(s, os::this_process_owner()), mine);
  }
  const os::owner_id dead = os::this_process_owner() - (os::owner_id{1} << 22U);  // an older one
  for (sync::tally& t : row) {
    if (t.owner == os::no_owner) {
      t.owner = dead;
      t.count = 7;
      break;
    }
  }
  u64 back = 0;
  EXPECT_TRUE(all.bury_the_dead(around, [&](section&, u64 n) { back += n; }));
  EXPECT_EQ(back, 7U);
  EXPECT_EQ(all.of(dead), nullptr);
  EXPECT_NE(all.of(os::this_process_owner()), nullptr);
}

// The place of a process that lives, but has nothing any more, is for another one.
TEST_F(section_test, tallies_of_those_that_have_nothing) {
  std::vector<sync::tally> row(2);
  const sync::tallies all{row.data(), row.size()};
  const auto place_of = [&](os::owner_id l) {
    section s(memory);
    return all.of_or_new(s, l);
  };
  const os::owner_id others[] = {os::this_thread_owner(), os::this_thread_owner() + 1};
  for (const os::owner_id l : others) place_of(l)->count = 1;
  EXPECT_EQ(place_of(os::this_process_owner()), nullptr);
  all.of(others[1])->count = 0;
  EXPECT_EQ(place_of(os::this_process_owner()), &row[others[1] % 2]);
  EXPECT_EQ(all.of(others[1]), nullptr);
}

}  // namespace
