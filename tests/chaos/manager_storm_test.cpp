// Random SIGKILLs around managers. First the clients: workers and processes that call, pass proxies
// on and keep them. What returned was done once, what died was done at most once, and nothing of
// the dead is left in the manager. Then the managers: every caller gets an error, in time.
//
// PROCPOOL_KILLS and PROCPOOL_SEED make it longer, or the same again.
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "chaos/killer.hpp"
#include "os/sanitizers.hpp"
#include "os/unique_fd.hpp"
#include "support/shared_memory.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::uint64_t setting(const char* name, std::uint64_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : std::strtoull(text, nullptr, 10);
}

// Counted when it ends, in a file: no other process would know.
class counted {
 public:
  explicit counted(std::string ends) : ends_(std::move(ends)) {}
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { add_to_tally(ends_); }
  long add(long x) { return sum_ += x; }

 private:
  std::string ends_;
  long sum_ = 0;
};
using handle = proxy<counted>;
using shelf = std::map<std::uint32_t, handle>;

long add(counted& c, long x) { return c.add(x); }
void put_on(shelf& s, std::uint32_t place, const handle& h) { s[place % 8] = h; }
handle take_from(shelf& s, std::uint32_t place) {
  const auto at = s.find(place % 8);
  return at == s.end() ? handle() : at->second;
}

// All that a task can do with proxies, by the seed. Adds 1 to `sum` once.
handle juggle(const handle& sum, const proxy<shelf>& shelves, const handle& given,
              std::uint32_t seed) {
  static handle kept;
  if (seed % 3 == 0) shelves.call(put_on, seed, given);
  if (seed % 7 == 0) kept = shelves.call(take_from, seed / 8);
  if (seed % 5 == 0 && kept) kept.call(add, 1);
  if (seed % 11 == 0) kept = {};
  // From within the manager, into an object that it holds, and back.
  if (seed % 4 == 0) {
    shelves.call(
        [](shelf& s, const handle& h) {
          for (auto& [place, other] : s) other.call(add, 1);
          h.call(add, 1);
        },
        given);
  }
  sum.call(add, 1);
  if (seed % 13 == 0) throw std::runtime_error("meant");
  return shelves.call(take_from, seed);
}

int threads_here(shelf&) {
  std::ifstream status("/proc/self/status");
  int n = 0;
  for (std::string word; status >> word;) {
    if (word == "Threads:" && status >> n) break;
  }
  return n;
}
int open_here(shelf&) { return os::open_fd_count(); }

class manager_storm_test : public shared_test {
 protected:
  void SetUp() override {
    {
      const manager m;
    }
    shared_test::SetUp();
  }
  const std::uint64_t seed_ = setting("PROCPOOL_SEED", std::random_device{}());
};
PROCPOOL_FOR_EACH_START_METHOD(manager_storm_test);

struct ledger {
  std::atomic<int> begun{0}, done{0}, died{0}, wrong{0};

  template <class Read>
  void enter(Read read) {
    try {
      read();
      ++done;
    } catch (const worker_crashed& e) {
      ++died;
      if (e.signal() != SIGKILL) ++wrong;
    } catch (const std::runtime_error& e) {
      ++done;
      if (std::string(e.what()) != "meant") {
        ++wrong;
        std::cout << e.what() << "\n";
      }
    }
  }
};

void submit_all(process_pool_executor& pool, const handle& sum, const proxy<shelf>& shelves,
                manager& m, const std::string& ends, std::atomic<int>& made,
                const std::atomic<bool>& over, ledger& entries, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!over) {
    std::vector<future<handle>> window;
    for (int i = 0; i < 12; ++i) {
      const auto n = static_cast<std::uint32_t>(random() % 100'000);
      ++made;
      ++entries.begun;
      window.push_back(pool.submit(juggle, sum, shelves, m.make<counted>(ends), n));
    }
    for (auto& f : window) {
      entries.enter([&] { f.get_for(duration(60)); });
    }
  }
}

// Clients of another kind, each of which is killed while it calls.
void kill_processes(const handle& sum, const proxy<shelf>& shelves, const handle& given,
                    const std::atomic<bool>& over, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!over) {
    tally ready;
    process client(
        [](const handle& s, const proxy<shelf>& all, const handle& g, const std::string& path) {
          add_to_tally(path);
          for (std::uint32_t i = 0;; ++i) {
            all.call(put_on, i, g);
            if (const handle other = all.call(take_from, i + 1)) other.call(add, 1);
            s.call(add, 0);
          }
        },
        sum, shelves, given, ready.path());
    eventually([&] { return ready.count() > 0; });
    pause_up_to(random, 3ms);
    client.kill();
    client.join();
  }
}

TEST_P(manager_storm_test, clients_die_and_leave_no_objects) {
  std::cout << "PROCPOOL_SEED=" << seed_ << std::endl;
  tally ends;
  std::atomic<int> made{0};
  {
    manager m;
    auto shelves = m.make<shelf>();
    auto sum = m.make<counted>(ends.path()), other = m.make<counted>(ends.path());
    made = 2;
    const int threads_before = shelves.call(threads_here), open_before = shelves.call(open_here);
    ledger entries;
    {
      process_pool_executor pool(options(3));
      std::atomic<bool> over{false};
      killer k(pool, over, seed_);
      {
        const auto tasks = storm_thread(over, [&] {
          submit_all(pool, sum, shelves, m, ends.path(), made, over, entries, seed_);
        });
        const auto processes =
            storm_thread(over, [&] { kill_processes(sum, shelves, other, over, seed_ + 1); });
        k.run(setting("PROCPOOL_KILLS", 60), std::chrono::steady_clock::now() + duration(4), 10);
        over = true;
      }
      EXPECT_GE(k.killed(), 10U);
      std::cout << k.killed() << " kills, " << entries.done << " done, " << entries.died
                << " died\n";
    }
    EXPECT_EQ(entries.wrong, 0);
    EXPECT_EQ(entries.done + entries.died, entries.begun);
    EXPECT_GT(entries.done, 0);
    // None is lost, and none runs twice.
    const long calls = sum.call(add, 0);
    EXPECT_GE(calls, entries.done);
    EXPECT_LE(calls, entries.begun);
    // Only this process is left, and it has one connection or some.
    EXPECT_TRUE(eventually([&] { return shelves.call(threads_here) <= threads_before + 3; }));
    EXPECT_LE(shelves.call(open_here), open_before + 3);
    shelves.call([](shelf& s) { s.clear(); });
    sum = other = {};
    EXPECT_TRUE(eventually([&] { return ends.count() == made; })) << ends.count() << " of " << made;
  }
}

TEST_P(manager_storm_test, a_manager_dies_and_all_clients_get_an_error) {
  std::mt19937_64 random(seed_);
  std::cout << "PROCPOOL_SEED=" << seed_ << std::endl;
  process_pool_executor pool(options(3));
  int lost = 0, wrong = 0;
  for (int round = 0; round < (os::thread_sanitizer ? 4 : 12); ++round) {
    tally ends;
    manager m;
    const auto shelves = m.make<shelf>();
    const auto sum = m.make<counted>(ends.path());
    std::vector<future<long>> callers;
    for (int i = 0; i < 3; ++i) {
      callers.push_back(pool.submit(
          [](const handle& s, const proxy<shelf>& all) -> long {
            for (std::uint32_t n = 0;; ++n) {
              all.call(put_on, n, s);
              all.call(take_from, n).call(add, 1);
            }
          },
          sum, shelves));
    }
    std::thread here([&] {
      try {
        for (;;) sum.call(add, 1);
      } catch (const manager_lost_error&) {
      }
    });
    pause_up_to(random, 20ms);
    if (round % 3 == 2) {
      m.shutdown();
    } else {
      ::kill(m.pid(), SIGKILL);
    }
    for (auto& f : callers) {
      try {
        f.get_for(duration(60));
        ++wrong;
      } catch (const manager_lost_error&) {
        ++lost;
      } catch (const std::exception& e) {
        ++wrong;
        std::cout << e.what() << "\n";
      }
    }
    here.join();
    EXPECT_THROW(shelves.call(take_from, 1U), manager_lost_error);
    EXPECT_TRUE(eventually([&] { return !m.is_alive(); }));
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(lost, 0);
}

}  // namespace
