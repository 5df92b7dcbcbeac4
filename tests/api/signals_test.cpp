// Signals that are not for one worker: to the process group, to each process of a control group, by
// a terminal. The program decides what they do; see docs/guide/services.md.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <set>
#include <sstream>

#include "conformance/meeting_point.hpp"
#include "support/process_fixture.hpp"

extern char** environ;

namespace {

using namespace procpool;
using namespace procpool::testing;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::set<pid_t> pids_in(const std::string& path) {
  std::set<pid_t> pids;
  std::ifstream file(path);
  for (pid_t pid = 0; file >> pid;) pids.insert(pid);
  return pids;
}

// As /proc has it: R, S, T, Z; 0 if there is no such process.
char state_of(pid_t pid) {
  const std::string text = text_of("/proc/" + std::to_string(pid) + "/stat");
  const auto at = text.rfind(')');
  return at == std::string::npos || at + 2 >= text.size() ? '\0' : text[at + 2];
}

// --- programs that get signals
// -------------------------------------------------------------------

class signals_test : public pool_test {
 protected:
  void SetUp() override {
    pool_test::SetUp();
    children_ = holdings::now().children;
  }

  pid_t start(const std::string& name, const std::string& scene) const {
    const std::string path = std::string(PROCPOOL_TEST_PROGRAMS_DIR) + "/" + name;
    const std::string method_name = name_of(method()), out = at_("stdout"), folder = at_("");
    const pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, 0);
      const int file = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
      close(file);
      execl(path.c_str(), path.c_str(), method_name.c_str(), scene.c_str(), folder.c_str(),
            nullptr);
      _exit(127);
    }
    return pid;
  }

  // "exit 0" or "signal 9", then what it wrote; nothing is left of it.
  std::string end_of(pid_t pid) const {
    int status = 0;
    bool ended = false;
    eventually(
        [&] {
          ended = waitpid(pid, &status, WNOHANG) == pid;
          return ended;
        },
        duration(40));
    if (!ended) {
      kill(-pid, SIGKILL);
      waitpid(pid, &status, 0);
      return "does not end\n" + text_of(at_("stdout"));
    }
    EXPECT_TRUE(eventually([this] {
      while (waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return holdings::now().children <= children_;
    }));
    return (WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                              : "signal " + std::to_string(WTERMSIG(status))) +
           "\n" + text_of(at_("stdout"));
  }

  std::string run_in_terminal(const char* scene) const {
    for (const auto& entry : std::filesystem::directory_iterator(at_(""))) {
      std::filesystem::remove(entry.path());
    }
    return end_of(start("signals_terminal", scene));
  }

  const meeting_point at_;
  int children_ = 0;
};
PROCPOOL_FOR_EACH_START_METHOD(signals_test);

constexpr char job_ends_well[] = "exit 0\nexit 5\nworkers gone: 1\n";

constexpr char nothing_lost[] =
    "exit 0\n"
    "group: lost 0, process 0, manager 3\n"
    "each: lost 0, process 0, manager 3\n";

TEST_P(signals_test, ignored_by_the_program) {
  EXPECT_EQ(end_of(start("signals_group", "ignored")), nothing_lost);
}

TEST_P(signals_test, handled_by_the_program) {
  EXPECT_EQ(end_of(start("signals_group", "handled")), nothing_lost);
}

TEST_P(signals_test, handled_once_by_the_program) {
  EXPECT_EQ(end_of(start("signals_group", "handled_once")), nothing_lost);
}

TEST_P(signals_test, blocked_by_the_program) {
  EXPECT_EQ(end_of(start("signals_group", "blocked")), nothing_lost);
}

TEST_P(signals_test, handled_since_the_workers_run) {
  EXPECT_EQ(end_of(start("signals_group", "handled_late")), nothing_lost);
}

TEST_P(signals_test, ignored_since_the_workers_run) {
  EXPECT_EQ(end_of(start("signals_group", "ignored_late")), nothing_lost);
}

TEST_P(signals_test, default_actions_end_the_program_with_its_workers) {
  for (const int signal : {SIGHUP, SIGTERM, SIGUSR1, SIGRTMIN + 1, SIGINT}) {
    for (const char* name : {"begun", "ready"}) std::filesystem::remove(at_(name));
    const pid_t pid = start("signals_group", "default");
    wait_for(at_("ready"));
    const std::set<pid_t> workers = pids_in(at_("begun"));
    EXPECT_EQ(workers.size(), 2U);
    kill(-pid, signal);
    EXPECT_EQ(end_of(pid), "signal " + std::to_string(signal) + "\n");
    for (const pid_t worker : workers) EXPECT_FALSE(is_alive(worker));
  }
}

// A group whose leader's parent is in another session cannot be stopped by SIGTSTP, and workers of
// such a program continue with it.
TEST_P(signals_test, a_stop_stops_the_workers_with_the_program) {
  const pid_t pid = start("signals_group", "default");
  wait_for(at_("ready"));
  std::set<pid_t> all = pids_in(at_("begun"));
  all.insert(pid);
  for (int round = 0; round < 3; ++round) {
    kill(-pid, SIGTSTP);
    for (const pid_t p : all) {
      EXPECT_TRUE(eventually([p] { return state_of(p) == 'T'; })) << p;
    }
    kill(-pid, SIGCONT);
    for (const pid_t p : all) {
      EXPECT_TRUE(eventually([p] { return state_of(p) != 'T'; })) << p;
    }
  }
  touch(at_("gate"));
  EXPECT_EQ(end_of(pid), "exit 0\nfinished\n");
}

// In the terminal of a shell, whose job the program is.
TEST_P(signals_test, the_stop_key_of_a_terminal) {
  EXPECT_EQ(run_in_terminal("stop_default"),
            "exit 0\nworkers stopped: 1\nstopped\nexit 5\nworkers gone: 1\n");
  EXPECT_EQ(run_in_terminal("stop_handled"), job_ends_well);
  EXPECT_EQ(run_in_terminal("stop_ignored"), job_ends_well);
}

TEST_P(signals_test, interrupt_and_quit_keys_that_the_program_handles) {
  EXPECT_EQ(run_in_terminal("keys_handled"), job_ends_well);
}

TEST_P(signals_test, the_hang_up_of_a_terminal) {
  EXPECT_EQ(run_in_terminal("hangup_default"), "exit 0\nsignal 1\nworkers gone: 1\n");
  EXPECT_EQ(run_in_terminal("hangup_handled"), job_ends_well);
  EXPECT_EQ(run_in_terminal("hangup_ignored"), job_ends_well);
}

// --- ending workers anyway
// -------------------------------------------------------------------

void keep_busy(const std::string& begun) {
  append_line(begun, std::to_string(getpid()));
  wait_for_ever();
}

// What this process does about a signal, for the time of a test.
class signal_action {
 public:
  signal_action(int signal, void (*handler)(int)) : signal_(signal) {
    struct sigaction action{};
    action.sa_handler = handler;
    sigaction(signal, &action, &before_);
  }
  ~signal_action() { sigaction(signal_, &before_, nullptr); }
  signal_action(const signal_action&) = delete;
  signal_action& operator=(const signal_action&) = delete;

 private:
  int signal_;
  struct sigaction before_{};
};

void do_nothing(int) {}

class ending_test : public started_process_test {
 protected:
  const meeting_point at_;
};
PROCPOOL_FOR_EACH_START_METHOD(ending_test);

TEST_P(ending_test, terminate_workers_ends_workers_whatever_the_program_does) {
  for (void (*const handler)(int) : {&do_nothing, SIG_IGN, SIG_DFL}) {
    const signal_action term(SIGTERM, handler);
    std::filesystem::remove(at_("begun"));
    process_pool_executor pool(options(2));
    auto busy = pool.submit(keep_busy, at_("begun"));
    wait_for(at_("begun"));
    pool.terminate_workers();
    try {
      busy.get();
      ADD_FAILURE();
    } catch (const worker_crashed& e) {
      EXPECT_EQ(e.signal(), SIGTERM);
    }
    pool.shutdown();
  }
}

// A stranger's signal that was not yet delivered swallows the program's own.
TEST_P(ending_test, terminate_workers_comes_at_once_after_a_signal_that_was_ignored) {
  const signal_action term(SIGTERM, &do_nothing);
  for (int i = 0; i < 4; ++i) {
    std::filesystem::remove(at_("begun"));
    process_pool_executor pool(options(1));
    auto busy = pool.submit(keep_busy, at_("begun"));
    ASSERT_TRUE(eventually([&] { return count_lines(at_("begun")) == 1; }));
    const pid_t worker = *pids_in(at_("begun")).begin();
    kill(worker, SIGSTOP);
    kill(worker, SIGTERM);
    pool.terminate_workers();
    kill(worker, SIGCONT);
    EXPECT_THROW(busy.get(), worker_crashed);
  }
}

TEST_P(ending_test, new_workers_are_ended_too) {
  const signal_action term(SIGTERM, SIG_IGN);
  for (int i = 0; i < 5; ++i) {
    process_pool_executor pool(options(2));
    pool.terminate_workers();
    pool.shutdown();
  }
}

TEST_P(ending_test, processes_are_ended_whatever_the_program_does) {
  for (void (*const handler)(int) : {&do_nothing, SIG_IGN, SIG_DFL}) {
    const signal_action term(SIGTERM, handler);
    const signal_action interrupt(SIGINT, handler);
    process terminated(started(), wait_for_ever);
    process interrupted(started(), wait_for_ever);
    kill(terminated.pid(), SIGCONT);
    terminated.terminate();
    interrupted.interrupt();
    terminated.join();
    interrupted.join();
    EXPECT_EQ(terminated.exit_code(), -SIGTERM);
    EXPECT_EQ(interrupted.exit_code(), -SIGINT);
    const process ended_by_its_destructor(started(), wait_for_ever);
  }
}

volatile std::sig_atomic_t told = 0;

void leave_when_told(const std::string& begun, const std::string& ended) {
  std::signal(SIGTERM, [](int) { told = 1; });
  append_line(begun, std::to_string(getpid()));
  eventually([] { return told != 0; });
  append_line(ended, "told");
}

TEST_P(ending_test, a_task_can_handle_sigterm_itself) {
  const signal_action term(SIGTERM, &do_nothing);
  {
    process_pool_executor pool(options(1));
    auto task = pool.submit(leave_when_told, at_("begun"), at_("ended"));
    wait_for(at_("begun"));
    pool.terminate_workers();
    task.wait();
    EXPECT_EQ(text_of(at_("ended")), "told\n");
  }
  process p(started(), leave_when_told, at_("begun2"), at_("ended2"));
  wait_for(at_("begun2"));
  p.terminate();
  p.join();
  EXPECT_EQ(p.exit_code(), 0);
  EXPECT_EQ(text_of(at_("ended2")), "told\n");
}

// --- signals of a task's own
// -----------------------------------------------------------------------

void alarm_ends_it() {
  ualarm(1000, 0);
  wait_for_ever();
}

void raises(int signal) { raise(signal); }
void kills_itself(int signal) {
  kill(getpid(), signal);
  wait_for_ever();
}

template <class F, class... A>
int signal_that_ends(process_pool_executor& pool, F task, A... arguments) {
  try {
    pool.submit(task, arguments...).get();
  } catch (const worker_crashed& e) {
    return e.signal();
  }
  return 0;
}

TEST_P(ending_test, signals_of_a_task_to_itself_are_its_crash) {
  const signal_action term(SIGTERM, &do_nothing);
  const signal_action user(SIGUSR1, &do_nothing);
  const signal_action clock(SIGALRM, &do_nothing);
  process_pool_executor pool(options(1));
  EXPECT_EQ(signal_that_ends(pool, alarm_ends_it), SIGALRM);
  EXPECT_EQ(signal_that_ends(pool, raises, SIGTERM), SIGTERM);
  EXPECT_EQ(signal_that_ends(pool, kills_itself, SIGUSR1), SIGUSR1);
  EXPECT_EQ(signal_that_ends(pool, raises, SIGUSR2), SIGUSR2);
}

volatile std::sig_atomic_t alarms = 0;

int handles_alarms() {
  std::signal(SIGALRM, [](int) { alarms = alarms + 1; });
  itimerval often{};
  often.it_value.tv_usec = often.it_interval.tv_usec = 1000;
  setitimer(ITIMER_REAL, &often, nullptr);
  eventually([] { return alarms >= 3; });
  setitimer(ITIMER_REAL, nullptr, nullptr);
  return alarms >= 3 ? 1 : 0;
}

TEST_P(ending_test, a_task_has_alarms_of_its_own) {
  process_pool_executor pool(options(1));
  EXPECT_EQ(pool.submit(handles_alarms).get(), 1);
}

// errno of a write into a pipe without a reader; -1 if it succeeds.
int write_into_nothing() {
  int ends[2];
  if (pipe(ends) != 0) return -2;
  close(ends[0]);
  const int error = write(ends[1], "x", 1) < 0 ? errno : -1;
  close(ends[1]);
  return error;
}

// The same past the largest size of a file.
int write_too_much(const std::string& path) {
  rlimit limit{};
  getrlimit(RLIMIT_FSIZE, &limit);
  rlimit lower = limit;
  lower.rlim_cur = 10;
  const int file = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  setrlimit(RLIMIT_FSIZE, &lower);
  const int error = pwrite(file, "x", 1, 10) < 0 ? errno : -1;
  setrlimit(RLIMIT_FSIZE, &limit);
  close(file);
  return error;
}

TEST_P(ending_test, failing_writes_are_errors_where_the_program_has_them_as_errors) {
  for (void (*const handler)(int) : {&do_nothing, SIG_IGN}) {
    const signal_action pipes(SIGPIPE, handler);
    const signal_action sizes(SIGXFSZ, handler);
    process_pool_executor pool(options(1));
    EXPECT_EQ(pool.submit(write_into_nothing).get(), EPIPE);
    EXPECT_EQ(pool.submit(write_too_much, at_("file")).get(), EFBIG);
  }
  process_pool_executor pool(options(1));
  EXPECT_EQ(signal_that_ends(pool, write_into_nothing), SIGPIPE);
  EXPECT_EQ(signal_that_ends(pool, write_too_much, at_("file")), SIGXFSZ);
}

// --- processes that tasks start
// -----------------------------------------------------------------------

// How a shell ends that sends itself this signal: -N, or its exit code.
int shell_that_gets(int signal) {
  std::string command = "kill -" + std::to_string(signal) + " $$; exit 7";
  char shell[] = "sh", option[] = "-c";
  char* arguments[] = {shell, option, command.data(), nullptr};
  pid_t pid = 0;
  if (posix_spawnp(&pid, "sh", nullptr, nullptr, arguments, environ) != 0) return -1000;
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int copy_that_gets(int signal) {
  const pid_t pid = fork();
  if (pid == 0) {
    raise(signal);
    wait_for_ever();
  }
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int kill_a_copy(int signal) {
  const pid_t pid = fork();
  if (pid == 0) wait_for_ever();
  kill(pid, signal);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

TEST_P(ending_test, programs_of_a_task_have_default_actions_and_ignore_what_the_program_ignores) {
  const signal_action term(SIGTERM, &do_nothing);
  const signal_action user(SIGUSR1, &do_nothing);
  const signal_action hang_up(SIGHUP, SIG_IGN);
  process_pool_executor pool(options(1));
  EXPECT_EQ(pool.submit(shell_that_gets, SIGTERM).get(), -SIGTERM);
  EXPECT_EQ(pool.submit(shell_that_gets, SIGUSR1).get(), -SIGUSR1);
  EXPECT_EQ(pool.submit(shell_that_gets, SIGALRM).get(), -SIGALRM);
  EXPECT_EQ(pool.submit(shell_that_gets, SIGHUP).get(), 7);
  EXPECT_EQ(pool.submit(copy_that_gets, SIGTERM).get(), -SIGTERM);
  EXPECT_EQ(pool.submit(kill_a_copy, SIGTERM).get(), -SIGTERM);
  EXPECT_EQ(pool.submit(kill_a_copy, SIGUSR2).get(), -SIGUSR2);
}

}  // namespace
