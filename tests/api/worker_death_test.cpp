// on_worker_death and retries: every death is told, retried ones too, and only deaths are retried.
#include <csignal>
#include <mutex>

#include "support/pool_test.hpp"
#include "support/tally.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

// What on_worker_death was told, in order.
class told_deaths {
 public:
  struct entry {
    std::string label;
    int attempt = 0;
    bool will_retry = false;
    int signal = 0;
    int exit_code = 0;
    bool operator==(const entry&) const = default;
  };

  void install(pool_options& o) {
    o.on_worker_death = [this](const task_killed& t) {
      const std::lock_guard lock(mutex_);
      EXPECT_GT(t.pid(), 0);
      EXPECT_NE(dynamic_cast<const worker_crashed*>(&t), nullptr);
      all_.push_back({t.label(), t.attempt(), t.will_retry(), t.signal(), t.exit_code()});
    };
  }
  // They come on another thread: waits until there are so many.
  std::vector<entry> wait_for(std::size_t n) const {
    EXPECT_TRUE(eventually([&] { return get().size() >= n; }));
    return get();
  }
  std::vector<entry> get() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<entry> all_;
};

std::ostream& operator<<(std::ostream& out, const told_deaths::entry& e) {
  return out << "{" << e.label << ", attempt " << e.attempt << (e.will_retry ? ", again" : "")
             << ", signal " << e.signal << ", exit code " << e.exit_code << "}";
}

// Dies in its first `deaths` runs.
int die_at_first(const std::string& runs, int deaths, int result) {
  add_to_tally(runs);
  if (static_cast<int>(std::filesystem::file_size(runs)) <= deaths) raise(SIGKILL);
  return result;
}

int throw_after_counting(const std::string& runs) {
  add_to_tally(runs);
  throw std::out_of_range("no death");
}

class worker_death_test : public pool_test {
 protected:
  pool_options with(told_deaths& deaths, int workers = 1) const {
    pool_options o = options(workers);
    deaths.install(o);
    return o;
  }
};
PROCPOOL_FOR_EACH_START_METHOD(worker_death_test);

using entries = std::vector<told_deaths::entry>;

TEST_P(worker_death_test, a_task_that_survives_its_retries) {
  told_deaths deaths;
  const tally runs;
  process_pool_executor pool(with(deaths));
  EXPECT_EQ(
      pool.submit({.retries = 3, .label = "third time"}, die_at_first, runs.path(), 2, 42).get(),
      42);
  EXPECT_EQ(runs.count(), 3);
  EXPECT_EQ(deaths.wait_for(2),
            (entries{{"third time", 1, true, SIGKILL, 0}, {"third time", 2, true, SIGKILL, 0}}));
}

TEST_P(worker_death_test, a_task_that_uses_up_its_retries) {
  told_deaths deaths;
  const tally runs;
  process_pool_executor pool(with(deaths));
  auto f = pool.submit(
      {.retries = 2, .label = "hopeless"},
      [](const std::string& path) {
        add_to_tally(path);
        std::_Exit(6);
      },
      runs.path());
  try {
    f.get();
    ADD_FAILURE() << "it never ends well";
  } catch (const worker_crashed& e) {
    EXPECT_EQ(e.attempt(), 3);
    EXPECT_EQ(e.exit_code(), 6);
    EXPECT_FALSE(e.will_retry());
    EXPECT_NE(std::string(e.what()).find("attempt 3"), std::string::npos) << e.what();
  }
  EXPECT_EQ(runs.count(), 3);
  EXPECT_EQ(deaths.wait_for(3), (entries{{"hopeless", 1, true, 0, 6},
                                         {"hopeless", 2, true, 0, 6},
                                         {"hopeless", 3, false, 0, 6}}));
  EXPECT_EQ(pool.stats().restarts, 3U);
}

TEST_P(worker_death_test, without_retries) {
  told_deaths deaths;
  const tally runs;
  process_pool_executor pool(with(deaths));
  EXPECT_THROW(pool.submit(die_at_first, runs.path(), 1, 1).get(), worker_crashed);
  EXPECT_EQ(runs.count(), 1);
  EXPECT_EQ(deaths.wait_for(1), (entries{{"", 1, false, SIGKILL, 0}}));
}

TEST_P(worker_death_test, an_exception_is_no_death) {
  told_deaths deaths;
  const tally runs, item_runs;
  process_pool_executor pool(with(deaths));
  EXPECT_THROW(pool.submit({.retries = 5}, throw_after_counting, runs.path()).get(),
               std::out_of_range);
  // Inside a chunk, among items that go well.
  const std::vector<int> xs{0, 1, 2, 3, 4, 5, 6, 7};
  int errors = 0;
  for (auto&& o : pool.map({.chunksize = 4, .task = {.retries = 5}},
                           partial(
                               [](const std::string& path, int x) {
                                 if (x % 3 == 1) throw_after_counting(path);
                                 return x;
                               },
                               item_runs.path()),
                           xs)
                      .outcomes()) {
    EXPECT_EQ(o.has_value(), o.index() % 3 != 1);
    errors += o ? 0 : 1;
  }
  EXPECT_EQ(errors, 3);
  // One that dies, so that what is told has an end.
  EXPECT_THROW(pool.submit({.label = "end"}, [] { raise(SIGTERM); }).get(), worker_crashed);
  EXPECT_EQ(deaths.wait_for(1), (entries{{"end", 1, false, SIGTERM, 0}}));
  EXPECT_EQ(runs.count(), 1);
  EXPECT_EQ(item_runs.count(), 3);
}

// The item alone is tried again, and its attempts are its own; neighbours run once.
TEST_P(worker_death_test, items_of_a_chunk) {
  told_deaths deaths;
  const tally second, fifth, others;
  process_pool_executor pool(with(deaths));
  const std::vector<int> xs{0, 1, 2, 3, 4, 5, 6, 7};
  std::size_t n = 0;
  for (auto&& o :
       pool.map({.chunksize = 8, .task = {.retries = 2, .label = "item"}},
                partial(
                    [](const std::string& a, const std::string& b, const std::string& c, int x) {
                      if (x == 2) return die_at_first(a, 1, x);    // well at the second run
                      if (x == 5) return die_at_first(b, 100, x);  // never
                      add_to_tally(c);
                      return x;
                    },
                    second.path(), fifth.path(), others.path()),
                xs)
           .outcomes()) {
    EXPECT_EQ(o.index(), n);
    ASSERT_EQ(o.has_value(), n != 5) << n;
    if (o) {
      EXPECT_EQ(*o, static_cast<int>(n));
    } else {
      try {
        o.value();
      } catch (const worker_crashed& e) {
        EXPECT_EQ(e.attempt(), 3);
        EXPECT_EQ(e.label(), "item");
      }
    }
    ++n;
  }
  EXPECT_EQ(n, 8U);
  EXPECT_EQ(deaths.wait_for(4), (entries{{"item", 1, true, SIGKILL, 0},
                                         {"item", 1, true, SIGKILL, 0},
                                         {"item", 2, true, SIGKILL, 0},
                                         {"item", 3, false, SIGKILL, 0}}));
  EXPECT_EQ(second.count(), 2);
  EXPECT_EQ(fifth.count(), 3);
  EXPECT_EQ(others.count(), 6);
}

// The tasks that run next to one that dies are not told about.
TEST_P(worker_death_test, running_neighbours_are_not_reported) {
  told_deaths deaths;
  process_pool_executor pool(with(deaths, 2));
  tally begun, gate;
  auto neighbour =
      pool.submit({.label = "neighbour"}, arrive_and_wait, begun.path(), gate.path(), 1);
  await_tally(begun.path(), 1);
  EXPECT_THROW(pool.submit({.label = "victim"}, [] { raise(SIGKILL); }).get(), worker_crashed);
  gate.add();
  EXPECT_EQ(neighbour.get(), 1);
  pool.shutdown();
  EXPECT_EQ(deaths.wait_for(1), (entries{{"victim", 1, false, SIGKILL, 0}}));
}

}  // namespace
