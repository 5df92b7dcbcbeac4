// CPython's _TestProcess (test/_test_multiprocessing.py), for every start method. What it asks of
// the interpreter is left out; what users reported since is here, too (gh-130895, gh-148318).
#include "procpool/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/captured_stderr.hpp"
#include "support/process_fixture.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

class process_test : public started_process_test {};
PROCPOOL_FOR_EACH_START_METHOD(process_test);

int leave_with(int code) { std::exit(code); }

TEST_P(process_test, process) {
  tally ready, gate;
  process p(started("conformance"), arrive_and_wait, ready.path(), gate.path(), 0);
  EXPECT_TRUE(p.is_alive());
  EXPECT_FALSE(p.exit_code());
  EXPECT_GT(p.pid(), 0);
  EXPECT_NE(p.pid(), getpid());
  EXPECT_EQ(p.name(), "conformance");
  await_tally(ready.path(), 1);
  EXPECT_FALSE(p.join_for(10ms));
  EXPECT_FALSE(p.join_for(-1s));
  gate.add();
  p.join();
  p.join();
  EXPECT_TRUE(p.join_for(0s));
  EXPECT_FALSE(p.is_alive());
  EXPECT_EQ(p.exit_code(), 0);
}

void write_about_itself(const std::string& file, int number,
                        const std::vector<std::string>& words) {
  std::ofstream out(file);
  std::string name;
  std::getline(std::ifstream("/proc/self/comm"), name);
  out << getpid() << ' ' << name << ' ' << number << ' ' << words.size() << ' ' << words.back()
      << ' ' << this_worker::index().has_value();
}

TEST_P(process_test, args_argument) {
  const tally file;
  process p(started("args"), write_about_itself, file.path(), 7,
            std::vector<std::string>{"a", std::string(100'000, 'x'), "end"});
  p.join();
  EXPECT_EQ(p.exit_code(), 0);
  std::stringstream text;
  text << std::ifstream(file.path()).rdbuf();
  EXPECT_EQ(text.str(), std::to_string(p.pid()) + " args 7 3 end 0");
}

TEST_P(process_test, terminate) {
  process p(started(), wait_for_ever);
  p.terminate();
  p.join();
  EXPECT_EQ(p.exit_code(), -SIGTERM);
  p.terminate();
}

TEST_P(process_test, kill) {
  process p(started(), wait_for_ever);
  p.kill();
  p.join();
  EXPECT_EQ(p.exit_code(), -SIGKILL);
}

TEST_P(process_test, interrupt_no_handler) {
  process p(started(), wait_for_ever);
  p.interrupt();
  p.join();
  EXPECT_EQ(p.exit_code(), -SIGINT);
}

void leave_when_interrupted(const std::string& ready) {
  signal(SIGINT, [](int) { _exit(42); });
  say_and_wait(ready);
}

TEST_P(process_test, interrupt) {
  tally ready;
  process p(started(), leave_when_interrupted, ready.path());
  await_tally(ready.path(), 1);
  p.interrupt();
  p.join();
  EXPECT_EQ(p.exit_code(), 42);
}

bool is_readable(int fd) {
  pollfd item{fd, POLLIN, 0};
  return poll(&item, 1, 0) == 1;
}

TEST_P(process_test, sentinel) {
  tally ready, gate;
  process p(started(), arrive_and_wait, ready.path(), gate.path(), 0);
  EXPECT_FALSE(is_readable(p.pidfd()));
  gate.add();
  p.join();
  EXPECT_TRUE(is_readable(p.pidfd()));
}

// Python's close(): the object is done with its process. Here that is a move, or the end of scope.
TEST_P(process_test, close) {
  process p(started(), wait_for_ever);
  process q = std::move(p);
  EXPECT_FALSE(p.valid());
  EXPECT_THROW(p.join(), invalid_state_error);
  EXPECT_THROW(p.is_alive(), invalid_state_error);
  EXPECT_THROW(p.terminate(), invalid_state_error);
  EXPECT_THROW((void)p.exit_code(), invalid_state_error);
  const pid_t pid = q.pid();
  p = std::move(q);
  EXPECT_EQ(p.pid(), pid);
  p = process();  // ends it
  EXPECT_THROW((void)process().pid(), invalid_state_error);
}

TEST_P(process_test, many_processes) {
  constexpr int count = 100;
  tally ready;
  std::vector<process> sleeping;
  for (int i = 0; i < count; ++i) {
    process p(started(), nothing);
    sleeping.emplace_back(started(), say_and_wait, ready.path());
    p.join();
    EXPECT_EQ(p.exit_code(), 0);
  }
  await_tally(ready.path(), count);
  for (const process& p : sleeping) p.terminate();
  for (const process& p : sleeping) {
    p.join();
    EXPECT_EQ(p.exit_code(), -SIGTERM);
  }
}

void write_open_descriptors(const std::string& file) {
  int count = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  std::ofstream(file) << count;
}

int descriptors_in_a_process(const process_options& options) {
  const tally file;
  process(options, write_open_descriptors, file.path()).join();
  int count = -1;
  std::ifstream(file.path()) >> count;
  return count;
}

TEST_P(process_test, child_fd_inflation) {
  const int before = descriptors_in_a_process(started());
  std::vector<process> others;
  for (int i = 0; i < 20; ++i) others.emplace_back(started(), wait_for_ever);
  EXPECT_EQ(descriptors_in_a_process(started()), before);
}

TEST_P(process_test, sys_exit) {
  for (const int code : {0, 1, 5, 255}) {
    process p(started(), leave_with, code);
    p.join();
    EXPECT_EQ(p.exit_code(), code);
  }
}

TEST_P(process_test, other_ways_of_a_process_to_end) {
  const auto code_of = [this](auto f) {
    process p(started(), f);
    p.join();
    return p.exit_code();
  };
  EXPECT_EQ(code_of([] { std::quick_exit(6); }), 6);
  EXPECT_EQ(code_of([] { _exit(256 + 7); }), 7);
  EXPECT_EQ(code_of([] { execl("/bin/sh", "sh", "-c", "exit 8", nullptr); }), 8);
  EXPECT_EQ(code_of([] { raise(SIGALRM); }), -SIGALRM);
  EXPECT_EQ(code_of([] { std::abort(); }), -SIGABRT);
  EXPECT_EQ(code_of([] { std::thread(std::terminate).join(); }), -SIGABRT);
}

// What its parent has blocked or ignores is not blocked or ignored there.
TEST_P(process_test, signals_of_the_parent) {
  sigset_t blocked, old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &old);
  const auto action = signal(SIGINT, SIG_IGN);
  process p(started(), wait_for_ever), q(started(), wait_for_ever);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  signal(SIGINT, action);
  p.terminate();
  q.interrupt();
  p.join();
  q.join();
  EXPECT_EQ(p.exit_code(), -SIGTERM);
  EXPECT_EQ(q.exit_code(), -SIGINT);
}

// An ended process answers as before, and no signal is sent to its number.
TEST_P(process_test, an_ended_process_is_left_alone) {
  process p(started(), leave_with, 3);
  p.join();
  p.terminate();
  p.kill();
  p.interrupt();
  EXPECT_TRUE(p.join_for(0s) && p.join_for(-1s));
  EXPECT_EQ(p.exit_code(), 3);
  EXPECT_TRUE(is_readable(p.pidfd()));
}

TEST_P(process_test, join_for_with_invalid_times) {
  process p(started(), wait_for_ever);
  EXPECT_FALSE(p.join_for(duration(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_FALSE(p.join_for(duration(-std::numeric_limits<double>::infinity())));
  std::thread kills([&p] { p.kill(); });
  EXPECT_TRUE(p.join_for(duration(std::numeric_limits<double>::infinity())));
  kills.join();
}

pid_t parent_of(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  std::istringstream rest(line.substr(line.rfind(')') + 1));
  char state = 0;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

void end_common_server() {
  process p(wait_for_ever);
  ::kill(parent_of(p.pid()), SIGKILL);
  p.join();
}

// Standard error of the processes is what it was when their server was started.
class captured_output {
 public:
  captured_output() { end_common_server(); }
  ~captured_output() { end_common_server(); }
  captured_output(const captured_output&) = delete;
  captured_output& operator=(const captured_output&) = delete;
  std::string take() { return errors_.take(); }

 private:
  captured_stderr errors_;
};

void fail(const std::string& text) { throw std::range_error(text); }

TEST_P(process_test, uncaught_exception) {
  captured_output output;
  process p(started("failing"), fail, "it does not work");
  p.join();
  EXPECT_EQ(p.exit_code(), 1);
  const std::string text = output.take();
  EXPECT_NE(text.find("process failing (pid " + std::to_string(p.pid()) + ")"), text.npos) << text;
  EXPECT_NE(text.find("std::range_error: it does not work"), text.npos) << text;
}

void print_unflushed() { std::fputs("not flushed", stderr), std::fputs("neither", stdout); }

TEST_P(process_test, stderr_flush) {
  captured_output output;
  process(started(), print_unflushed).join();
  EXPECT_EQ(output.take(), "not flushed");
}

TEST_P(process_test, wait_for_threads) {
  process p(started(), [] { std::thread([] { wait_for_ever(); }).detach(); });
  p.join();
  EXPECT_EQ(p.exit_code(), 0);  // with a thread that would never end
}

// gh-130895, gh-148318: several threads join and ask, and all get the same answer.
TEST_P(process_test, threads_join_together) {
  for (int round = 0; round < 5; ++round) {
    tally ready, gate;
    process p(started(), arrive_and_wait, ready.path(), gate.path(), 0);
    std::vector<std::thread> threads;
    std::vector<int> codes(4, -1);
    for (int& code : codes) {
      threads.emplace_back([&p, &code] {
        p.join();
        code = p.exit_code().value_or(-2);
      });
    }
    gate.add();
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(codes, std::vector<int>(4, 0));
  }
}

// The process is no child of the program here: the program's own wait loop, or SIGCHLD set to be
// ignored, takes no status away.
TEST_P(process_test, the_program_waits_for_all_children) {
  const auto old = signal(SIGCHLD, SIG_IGN);
  process p(started(), leave_with, 3);
  EXPECT_LE(waitpid(-1, nullptr, WNOHANG), 0);
  p.join();
  signal(SIGCHLD, old);
  EXPECT_EQ(p.exit_code(), 3);
}

// Python's processes may have processes and pools; here only the program itself does.
TEST_P(process_test, recursion) {
  process p(started(), [] {
    int refused = 0;
    try {
      process inner(nothing);
    } catch (const nested_use_error&) {
      ++refused;
    }
    try {
      process_pool_executor(1).submit(nothing).wait();
    } catch (const nested_use_error&) {
      ++refused;
    }
    _exit(refused);
  });
  p.join();
  EXPECT_EQ(p.exit_code(), 2);
}

TEST_P(process_test, the_program_forks) {
  process p(started(), wait_for_ever);
  const pid_t copy = fork();
  if (copy == 0) {
    int code = 1;
    try {
      p.join();
    } catch (const nested_use_error&) {
      code = 0;
    }
    {
      const process gone = std::move(p);
    }  // has no effect
    _exit(code);
  }
  int status = -1;
  EXPECT_EQ(waitpid(copy, &status, 0), copy);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(p.is_alive());
}

// However the program ends, its processes end with it.
void expect_processes_to_end_with(start_method method, const std::string& action) {
  const std::string command =
      std::string(PROCPOOL_TEST_PROGRAMS_DIR "/process_parent ") + name_of(method) + " " + action;
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const int children = holdings::now().children;
  const pid_t program = fork();
  if (program == 0) {
    dup2(ends[1], 1);
    execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
    _exit(127);
  }
  close(ends[1]);
  std::string line;
  for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
  std::istringstream words(line);
  const std::vector<pid_t> pids{std::istream_iterator<pid_t>(words), {}};
  EXPECT_EQ(pids.size(), 3u);
  if (action == "killed") ::kill(program, SIGKILL);
  EXPECT_EQ(waitpid(program, nullptr, 0), program);
  for (const pid_t pid : pids) {
    EXPECT_TRUE(eventually([pid] {
      waitpid(pid, nullptr, WNOHANG);  // an orphan of the program comes to this test
      return ::kill(pid, 0) != 0;
    })) << action
        << ", " << pid;
  }
  // So do its servers, whose pids are not known.
  EXPECT_TRUE(eventually([children] {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return holdings::now().children <= children;
  }));
  close(ends[0]);
}

TEST_P(process_test, the_program_ends) {
  for (const char* action : {"return", "underscore_exit", "killed"}) {
    expect_processes_to_end_with(method(), action);
  }
}

// forkserver_sigkill: processes end with their server; the next one gets another.
TEST_P(process_test, forkserver_sigkill) {
  process p(started(), wait_for_ever);
  ::kill(parent_of(p.pid()), SIGKILL);
  p.join();
  EXPECT_EQ(p.exit_code(), -SIGKILL);
  process q(started(), nothing);
  q.join();
  EXPECT_EQ(q.exit_code(), 0);
}

// forkserver_sigint: a server does not notice Ctrl-C.
TEST_P(process_test, forkserver_sigint) {
  process p(started(), wait_for_ever);
  ::kill(parent_of(p.pid()), SIGINT);
  process q(started(), nothing);
  q.join();
  EXPECT_EQ(q.exit_code(), 0);
  EXPECT_TRUE(p.is_alive());
}

void ignore_sigterm(const std::string& ready) {
  signal(SIGTERM, SIG_IGN);
  say_and_wait(ready);
}

TEST_P(process_test, stopped_and_killed) {
  tally ready;
  process p(started(), ignore_sigterm, ready.path());
  await_tally(ready.path(), 1);
  ::kill(p.pid(), SIGSTOP);
  p.terminate();
  EXPECT_FALSE(p.join_for(10ms));
  p.kill();
  p.join();
  EXPECT_EQ(p.exit_code(), -SIGKILL);
}

}  // namespace
