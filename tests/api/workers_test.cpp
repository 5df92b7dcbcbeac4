// The workers of a pool: when all of them have started, and what pool_options says about them.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "conformance/meeting_point.hpp"
#include "os/sanitizers.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

class workers_test : public pool_test {};
PROCPOOL_FOR_EACH_START_METHOD(workers_test);

void refuse() { throw std::runtime_error("no licence"); }

std::set<pid_t> pids_of(const process_pool_executor& pool) {
  std::set<pid_t> pids;
  for (const worker_stats& w : pool.stats().workers) {
    if (w.state == worker_state::idle && w.pid != 0) pids.insert(w.pid);
  }
  return pids;
}

TEST_P(workers_test, all_are_there_after_the_wait) {
  process_pool_executor pool(options(3));
  pool.wait_for_workers();
  const std::set<pid_t> pids = pids_of(pool);
  EXPECT_EQ(pids.size(), 3U);
  EXPECT_FALSE(pool.broken());
  // One that has died is waited for again.
  ASSERT_EQ(::kill(*pids.begin(), SIGKILL), 0);
  EXPECT_TRUE(eventually([&] { return !pids_of(pool).contains(*pids.begin()); }));
  pool.wait_for_workers(duration(30));
  EXPECT_EQ(pids_of(pool).size(), 3U);
  pool.shutdown();
  EXPECT_THROW(pool.wait_for_workers(), shutdown_error);
  EXPECT_FALSE(pool.broken());
}

// A worker is there when its initializer is done.
TEST_P(workers_test, the_wait_includes_the_initializer) {
  const meeting_point at;
  pool_options o = options(1);
  o.initializer = partial(wait_for, at("gate"));
  process_pool_executor pool(std::move(o));
  try {
    pool.wait_for_workers(duration(0.05));
    ADD_FAILURE() << "no error";
  } catch (const timeout_error& e) {
    EXPECT_STREQ(e.what(), "1 (of 1) workers have not started");
  }
  touch(at("gate"));
  pool.wait_for_workers(duration(30));
  EXPECT_EQ(pids_of(pool).size(), 1U);
}

TEST_P(workers_test, a_broken_pool_says_why) {
  pool_options o = options(2);
  o.initializer = refuse;
  process_pool_executor pool(std::move(o));
  std::string why;
  try {
    pool.wait_for_workers(duration(30));
    ADD_FAILURE() << "no error";
  } catch (const broken_process_pool& e) {
    why = e.what();
  }
  EXPECT_NE(why.find("no licence"), std::string::npos) << why;
  EXPECT_EQ(pool.broken(), why);
  pool.shutdown();
  EXPECT_EQ(pool.broken(), why);
}

// What a task sees of its process.
struct surroundings {
  pid_t pid = 0;
  int nice = 0;
  unsigned mask = 0;
  std::string directory;
  std::string set, removed;  // variables; "-": there is none

  // All but the pid.
  bool operator==(const surroundings& o) const {
    return nice == o.nice && mask == o.mask && directory == o.directory && set == o.set &&
           removed == o.removed;
  }
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "-" : value;
}

surroundings own_surroundings() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return {getpid(),
          getpriority(PRIO_PROCESS, 0),
          mask,
          std::filesystem::current_path().string(),
          variable("PROCPOOL_TEST_SET"),
          variable("PROCPOOL_TEST_REMOVED")};
}

// In a file, by the initializer: the settings are older than it is.
void note_surroundings(const std::string& path) {
  const surroundings s = own_surroundings();
  append_line(path, s.directory + " " + s.set + " " + s.removed + " " + std::to_string(s.mask));
}

// Of the program that a worker runs: with start_method::spawn it is executed for its pool.
const std::string at_start = variable("PROCPOOL_TEST_SET");
std::string value_at_start() { return at_start; }

TEST_P(workers_test, settings_hold_in_every_worker) {
  const meeting_point at;
  setenv("PROCPOOL_TEST_REMOVED", "of the program", 1);
  const surroundings before = own_surroundings();
  const std::string folder = std::filesystem::canonical(at("."));
  pool_options o = options(1);
  o.initializer = partial(note_surroundings, at("initializers"));
  o.workers = {.nice = 3,
               .umask = 027,
               .working_directory = folder,
               .environment = {{"PROCPOOL_TEST_SET", "first"},
                               {"PROCPOOL_TEST_SET", "by an option"},
                               {"PROCPOOL_TEST_REMOVED", std::nullopt}}};
  process_pool_executor pool(std::move(o));
  const surroundings expected{0, std::min(before.nice + 3, 19), 027, folder, "by an option", "-"};
  const surroundings first = pool.submit(own_surroundings).get();
  EXPECT_EQ(first, expected);
  if (method() == start_method::spawn) {
    EXPECT_EQ(pool.submit(value_at_start).get(), "by an option");
  }
  // In a replacement, too.
  EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
  const surroundings second = pool.submit(own_surroundings).get();
  EXPECT_EQ(second, expected);
  EXPECT_NE(second.pid, first.pid);
  std::ifstream notes(at("initializers"));
  for (std::string line; std::getline(notes, line);) {
    EXPECT_EQ(line, folder + " by an option - 23");
  }
  EXPECT_EQ(count_lines(at("initializers")), 2);
  // The program is as it was.
  EXPECT_EQ(own_surroundings(), before);
  unsetenv("PROCPOOL_TEST_REMOVED");
}

TEST_P(workers_test, a_setting_that_fails_breaks_the_pool) {
  const meeting_point at;
  const std::string folder = at("folder");
  std::filesystem::create_directory(folder);
  pool_options o = options(1);
  o.workers.working_directory = folder;
  process_pool_executor pool(std::move(o));
  pool.wait_for_workers(duration(30));
  std::filesystem::remove(folder);
  EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
  EXPECT_TRUE(eventually([&] { return pool.broken().has_value(); }));
  EXPECT_EQ(pool.broken().value_or(""),
            "an option of pool_options::workers failed in worker 0: procpool: cannot enter the "
            "directory " +
                folder + ": No such file or directory");
}

std::string read_a_line() {
  std::string line;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

TEST_P(workers_test, standard_input_is_empty_or_that_of_the_program) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "one\ntwo\n", 8), 8);
  const int old = ::dup(STDIN_FILENO);
  ASSERT_EQ(::dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
  {
    process_pool_executor pool(options(1));
    EXPECT_EQ(pool.submit(read_a_line).get(), "");
  }
  {
    pool_options o = options(1);
    o.workers.inherit_stdin = true;
    process_pool_executor pool(std::move(o));
    EXPECT_EQ(pool.submit(read_a_line).get(), "one");
    EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
    EXPECT_EQ(pool.submit(read_a_line).get(), "two");
  }
  if (old >= 0) {
    ::dup2(old, STDIN_FILENO);
    ::close(old);
  } else {
    ::close(STDIN_FILENO);
  }
  {
    // A closed one is no error.
    const int kept = ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    ::close(STDIN_FILENO);
    pool_options o = options(1);
    o.workers.inherit_stdin = true;
    EXPECT_EQ(process_pool_executor(std::move(o)).submit(read_a_line).get(), "");
    if (kept >= 0) {
      ::dup2(kept, STDIN_FILENO);
      ::close(kept);
    }
  }
  ::close(ends[0]);
  ::close(ends[1]);
}

// The variables that limit the threads of libraries in a worker.
std::vector<std::string> thread_limits() {
  return {variable("OMP_NUM_THREADS"), variable("OPENBLAS_NUM_THREADS"),
          variable("BLIS_NUM_THREADS"), variable("MKL_NUM_THREADS")};
}

std::vector<std::string> limits_in(pool_options o) {
  return process_pool_executor(std::move(o)).submit(thread_limits).get();
}

using texts = std::vector<std::string>;

TEST_P(workers_test, threads_of_libraries_are_limited_unless_the_program_says_otherwise) {
  const texts names{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS",
                    "MKL_NUM_THREADS"};
  std::vector<std::pair<std::string, std::string>> old;
  for (const std::string& n : names) {
    old.emplace_back(n, variable(n.c_str()));
    unsetenv(n.c_str());
  }
  const texts alone = limits_in(options(1));
  EXPECT_EQ(alone, texts(4, alone[0]));
  const int cpus = std::stoi(alone[0]);
  EXPECT_GE(cpus, 1);
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  EXPECT_LE(cpus, CPU_COUNT(&set));
  EXPECT_EQ(limits_in(options(2)), texts(4, std::to_string(std::max(cpus / 2, 1))));

  pool_options without = options(1);
  without.workers.limit_threads = false;
  EXPECT_EQ(limits_in(without), texts(4, "-"));

  // A variable of one library is kept, and that of OpenMP concerns all.
  pool_options said = options(1);
  said.workers.environment = {{"MKL_NUM_THREADS", "7"}, {"BLIS_NUM_THREADS", std::nullopt}};
  EXPECT_EQ(limits_in(said), (texts{alone[0], alone[0], "-", "7"}));
  if (method() != start_method::forkserver) {  // whose master has the environment of its start
    setenv("OMP_NUM_THREADS", "5", 1);
    EXPECT_EQ(limits_in(options(1)), (texts{"5", "-", "-", "-"}));
    unsetenv("OMP_NUM_THREADS");
  }
  for (const auto& [name, value] : old) {
    if (value != "-") setenv(name.c_str(), value.c_str(), 1);
  }
}

int oom_score() {
  int score = -1;
  std::ifstream("/proc/self/oom_score_adj") >> score;
  return score;
}

TEST_P(workers_test, the_kernel_prefers_a_worker_when_memory_is_exhausted) {
  const int before = oom_score();
  EXPECT_EQ(process_pool_executor(options(1)).submit(oom_score).get(), before);
  pool_options o = options(1);
  o.workers.out_of_memory = out_of_memory_victim::worker;
  process_pool_executor pool(std::move(o));
  EXPECT_EQ(pool.submit(oom_score).get(), 1000);
  EXPECT_THROW(pool.submit([] { raise(SIGKILL); }).get(), worker_crashed);
  EXPECT_EQ(pool.submit(oom_score).get(), 1000);
  EXPECT_EQ(oom_score(), before);
}

std::vector<int> own_cpus() {
  cpu_set_t set;
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

TEST_P(workers_test, pinned_workers_share_the_cpus_of_the_program) {
  const std::vector<int> all = own_cpus();
  for (const worker_pinning pinning : {worker_pinning::compact, worker_pinning::spread}) {
    pool_options o = options(2);
    o.workers.pinning = pinning;
    process_pool_executor pool(std::move(o));
    std::vector<future<std::vector<int>>> shares = pool.broadcast(own_cpus);
    const std::vector<int> first = shares[0].get(), second = shares[1].get();
    if (pinning == worker_pinning::compact || all.size() == 1) {
      EXPECT_EQ(first.size(), 1U);
      EXPECT_EQ(second.size(), 1U);
    } else {
      EXPECT_EQ(first.size() + second.size(), all.size());
    }
    std::set<int> both(first.begin(), first.end());
    both.insert(second.begin(), second.end());
    EXPECT_EQ(both.size(), all.size() == 1 ? 1 : first.size() + second.size());
    EXPECT_TRUE(std::includes(all.begin(), all.end(), both.begin(), both.end()));
  }
  EXPECT_EQ(own_cpus(), all);
}

// Keeps as many MiB as a leak would, and touches them. Returns the pid.
pid_t leak(std::size_t mib) {
  static std::vector<std::vector<char>> kept;
  kept.emplace_back(mib << 20U, 'x');
  return getpid();
}

// Shared memory is not the worker's own.
pid_t fill(shared_array<char> shared) {
  for (char& c : std::span<char>(shared)) c = 'x';
  return getpid();
}

TEST_P(workers_test, a_worker_that_has_grown_is_replaced) {
  if (os::thread_sanitizer) GTEST_SKIP() << "its own memory grows with what a task touches";
  pool_options o = options(1);
  o.max_memory_growth = std::size_t{32} << 20U;
  process_pool_executor pool(std::move(o));
  const pid_t first = pool.submit(leak, std::size_t{1}).get();
  EXPECT_EQ(pool.submit(fill, shared_array<char>(std::size_t{48} << 20U)).get(), first);
  EXPECT_EQ(pool.submit(leak, std::size_t{48}).get(), first);
  const pid_t second = pool.submit(getpid).get();
  EXPECT_NE(second, first);
  // By many tasks, too; and none of them is lost.
  std::set<pid_t> pids;
  for (int i = 0; i < 12; ++i) pids.insert(pool.submit(leak, std::size_t{8}).get());
  EXPECT_GE(pids.size(), 2U);
  EXPECT_LE(pids.size(), 4U);
  EXPECT_EQ(pool.stats().failed, 0U);
}

std::size_t processes(const process_pool_executor& pool) { return pids_of(pool).size(); }

int twice(int x) { return 2 * x; }

TEST_P(workers_test, idle_workers_end_and_return_for_tasks) {
  const meeting_point at;
  pool_options o = options(3);
  o.finalizer = partial(append_line, at("finalized"), "x");
  o.idle_timeout = duration(1);
  process_pool_executor pool(std::move(o));
  pool.wait_for_workers();
  EXPECT_EQ(pool.submit(twice, 1).get(), 2);
  ASSERT_TRUE(eventually([&] { return processes(pool) == 0; }));
  EXPECT_TRUE(eventually([&] { return count_lines(at("finalized")) == 3; }));
  EXPECT_EQ(pool.submit(twice, 2).get(), 4);
  ASSERT_TRUE(eventually([&] { return processes(pool) == 0; }));
  // All of them, for as many tasks as there are workers.
  for (auto& f : pool.broadcast(twice, 3)) EXPECT_EQ(f.get(), 6);
  ASSERT_TRUE(eventually([&] { return processes(pool) == 0; }));
  pool.wait_for_workers(duration(30));
  EXPECT_EQ(pool.submit(twice, 4).get(), 8);
  EXPECT_FALSE(pool.broken());
  EXPECT_EQ(pool.stats().failed, 0U);
}

std::string refusal_of(worker_options w) {
  try {
    process_pool_executor pool(pool_options{.max_workers = 1, .workers = std::move(w)});
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "";
}

TEST(worker_options_test, bad_values_are_named) {
  EXPECT_THROW(process_pool_executor(pool_options{.idle_timeout = duration(0.5)}),
               std::invalid_argument);
  EXPECT_THROW(process_pool_executor(pool_options{.max_memory_growth = 0}), std::invalid_argument);
  EXPECT_EQ(refusal_of({.nice = 40}), "worker_options::nice must be between -39 and 39, not 40");
  EXPECT_EQ(refusal_of({.nice = -40}), "worker_options::nice must be between -39 and 39, not -40");
  EXPECT_EQ(refusal_of({.umask = 01000}), "worker_options::umask must be at most 0777");
  EXPECT_EQ(refusal_of({.working_directory = "/proc/self/exe"}),
            "worker_options::working_directory: /proc/self/exe is not a directory");
  EXPECT_EQ(refusal_of({.working_directory = "/no/such"}),
            "worker_options::working_directory: /no/such: No such file or directory");
  EXPECT_EQ(refusal_of({.environment = {{"", "x"}}}),
            "worker_options::environment: a name must not be empty");
  EXPECT_EQ(refusal_of({.environment = {{"A=B", "x"}}}),
            "worker_options::environment: the name \"A=B\" must have neither '=' nor a null "
            "character");
  EXPECT_EQ(refusal_of({.environment = {{"A", std::string(1, '\0')}}}),
            "worker_options::environment: the value of A must not have a null character");
}

}  // namespace
