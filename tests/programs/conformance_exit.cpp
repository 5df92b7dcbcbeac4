// Ways in which a program with a pool ends: conformance_exit <start method> <scene> <folder>.
// Prints what happens, also from tasks.
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <thread>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::string folder;

std::string at(const char* name) { return folder + name; }

// One write, so that lines of several processes do not mix.
void say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0) _exit(125);
}

int twice(int x) { return 2 * x; }

pool_options options_for(const std::string& method, int workers) {
  pool_options o{.max_workers = workers};
  o.start = method == "fork"         ? start_method::fork
            : method == "forkserver" ? start_method::forkserver
                                     : start_method::spawn;
  return o;
}

// In static storage: destroyed after main has returned. In workers it does nothing.
std::optional<process_pool_executor> pool;

// Ends some time after main, which the test cannot see: after the folder says so.
void slow_task(const std::string& begun, const std::string& gate, const std::string& text) {
  touch(begun);
  wait_for(gate);
  say(text);
}

void hold_one_worker() {
  pool->submit(slow_task, at("begun"), at("gate"), "running one ends").wait_for(duration(0));
  wait_for(at("begun"));
}

void return_from_main() {
  pool->submit(slow_task, at("begun"), at("gate"), "task runs").wait_for(duration(0));
  say("main ends");
  touch(at("gate"));
}

// Written by the destructor of a static object, which runs after the pool's own handler.
struct reporter {
  std::vector<future<int>> futures;
  ~reporter() {
    if (futures.empty()) return;
    const auto n = std::ranges::count_if(futures, [](auto& f) { return f.cancelled(); });
    say(std::to_string(n) + " cancelled");
  }
} report;

void fail() {
  hold_one_worker();
  for (int i = 0; i < 10; ++i) report.futures.push_back(pool->submit(twice, i));
  // Cancelling is what lets the running task end.
  report.futures.back().on_done([](const future<int>&) { touch(at("gate")); });
  say("main ends");
  std::exit(1);
}

void use_in_handler(const char* who) {
  try {
    say(std::string(who) + ": " + std::to_string(pool->submit(twice, 21).get()));
  } catch (const shutdown_error&) {
    say(std::string(who) + ": shutdown_error");
  }
}

void submit_in_atexit() {
  std::atexit([] { use_in_handler("earlier handler"); });
  pool->submit(twice, 1).wait();
  std::atexit([] { use_in_handler("later handler"); });
  say("main ends");
}

void main_thread_ends() {
  std::thread([] {
    say("other thread: " + std::to_string(pool->submit(twice, 21).get()));
    std::exit(0);
  }).detach();
  pthread_exit(nullptr);
}

void underscore_exit() {
  pool->submit(between_gates, at("begun"), at("gate"), at("ended")).wait_for(duration(0));
  wait_for(at("begun"));
  _exit(3);
}

void wait_to_be_killed() {
  auto a = pool->submit(between_gates, at("begun"), at("gate"), at("ended"));
  auto b = pool->submit(between_gates, at("begun"), at("gate"), at("ended"));
  a.wait();
  b.wait();
}

void forks() {
  auto before = pool->submit(between_gates, at("begun"), at("gate"), at("ended"));
  const pid_t copy = fork();
  if (copy == 0) {
    try {
      (void)pool->submit(twice, 1);
      say("copy: submitted");
    } catch (const nested_use_error&) {
      say("copy: nested_use_error");
    }
    std::exit(0);  // with handlers and static objects, as a program ends
  }
  int status = 0;
  waitpid(copy, &status, 0);
  say("copy ended by exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1));
  touch(at("gate"));
  say("parent: " + std::to_string(41 + before.get()));
}

void wait_false() {
  hold_one_worker();
  pool->shutdown({.wait = false});
  say("main ends");
  touch(at("gate"));
}

void cancel_futures_wait_false() {
  hold_one_worker();
  auto queued = pool->submit(slow_task, at("begun"), at("gate"), "never said");
  pool->shutdown({.wait = false, .cancel_futures = true});
  if (!queued.cancelled()) say("not cancelled");
  say("main ends");
  touch(at("gate"));
}

const std::map<std::string, std::pair<int, void (*)()>> scenes{
    {"return", {1, return_from_main}},
    {"fail", {1, fail}},
    {"atexit", {1, submit_in_atexit}},
    {"main_thread_ends", {1, main_thread_ends}},
    {"underscore_exit", {1, underscore_exit}},
    {"wait_to_be_killed", {2, wait_to_be_killed}},
    {"forks", {1, forks}},
    {"wait_false", {1, wait_false}},
    {"cancel_futures_wait_false", {1, cancel_futures_wait_false}},
};

}  // namespace

int main(int, char** argv) {
  folder = argv[3];
  const auto& [workers, scene] = scenes.at(argv[2]);
  pool.emplace(options_for(argv[1], workers));
  scene();
}
