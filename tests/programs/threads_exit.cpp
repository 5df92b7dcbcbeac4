// Ways in which a program with threads ends: threads_exit <scene> <folder>. Prints what happens.
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "conformance/meeting_point.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;

std::string folder;

void say(const std::string& line) {
  const std::string text = line + "\n";
  if (write(STDOUT_FILENO, text.data(), text.size()) < 0) _exit(125);
}

// Never destroyed while its tasks run: it is the exit that waits for them.
thread_pool_executor& pool() {
  static auto* const p = new thread_pool_executor(1);
  return *p;
}

// One that runs until main has ended, and one that waits for the thread.
void start(bool second) {
  pool()
      .submit([] {
        touch(folder + "begun");
        wait_for(folder + "gate");
        if (folder.empty()) return;
        say("task");
      })
      .on_done([](const future<void>&) {});
  wait_for(folder + "begun");
  if (second) pool().submit([] { say("second"); }).on_done([](const future<void>&) {});
}

void end_main() {
  say("main ends");
  touch(folder + "gate");
}

void in_handler() {
  try {
    (void)pool().submit([] {});
  } catch (const shutdown_error&) {
    say("shutdown_error");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 125;
  const std::string scene = argv[1];
  folder = argv[2];
  if (scene == "handler") std::atexit(in_handler);
  if (scene == "task") {
    pool()
        .submit([] {
          say("task ends");
          std::exit(4);
        })
        .wait();
  }
  if (scene == "promise") {
    // It is never kept.
    static promise<int> never;
    never.get_future().then([](future<int>) { say("kept"); });
  }
  start(scene == "error" || scene == "cancel");
  if (scene == "combination") {
    // Never destroyed, which would resolve their futures.
    static auto* const never = new promise<void>[2];
    when_all(pool().submit([] {}), never[0].get_future()).then([](auto&&) { say("all"); });
    when_any(pool().submit([] {}), never[1].get_future()).then([](auto&&) { say("any"); });
  }
  if (scene == "no_wait") pool().shutdown({.wait = false});
  if (scene == "cancel") pool().shutdown({.wait = false, .cancel_futures = true});
  if (scene == "error") {
    say("main ends");
    // The second one is cancelled before the first one ends.
    pool().submit([] {}).on_done([](const future<void>& f) {
      if (f.cancelled()) touch(folder + "gate");
    });
    std::exit(3);
  }
  end_main();
  return 0;
}
