// A program that changes its circumstances, and then makes a pool, for which it is executed again:
// started_otherwise <start method> <change> [file]. Prints "works" if a task finds the program's
// library, and the environment and the working directory that the program has now. Otherwise what
// is wrong. Exit status 77: the system does not let it make this change.

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "procpool/procpool.hpp"

extern "C" int number_from_the_library(int n);

namespace {

using namespace procpool;

constexpr int cannot_change = 77;

// In an executed copy, if main() asks for it.
const bool ends_in_a_constructor = [] {
  if (std::getenv("END_IN_A_CONSTRUCTOR") != nullptr) _exit(3);
  return true;
}();

std::string now(int n) {
  std::string text = std::to_string(number_from_the_library(n));
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) text += std::string("\n") + *at;
  return text + "\n" + std::filesystem::current_path().string();
}

void require(bool done) {
  if (!done) _exit(cannot_change);
}

// As setproctitle does: arguments and environment are moved, and their memory is used for a title.
void overwrite_start(char** argv) {
  char* const begin = argv[0];
  char* end = begin;
  for (char** at = environ; *at != nullptr; ++at) end = *at + std::strlen(*at);
  static std::string title = "title";
  char** const moved = static_cast<char**>(std::calloc(1, sizeof(char*)));
  environ = moved;
  std::memset(begin, ' ', static_cast<std::size_t>(end - begin));
  std::memcpy(begin, title.data(), title.size());
}

void hide_proc() {
  require(unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
  require(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  require(mount("tmpfs", "/proc", "tmpfs", 0, nullptr) == 0);
}

void enter_pid_namespace() {
  require(unshare(CLONE_NEWPID) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0);
}

void replace_program(const std::string& file) {
  require(unlink(file.c_str()) == 0);
  std::ofstream(file) << "#!/bin/false\n";
  require(chmod(file.c_str(), 0755) == 0);
}

void change(const std::string& what, char** argv, const std::string& file) {
  if (what == "unset") require(unsetenv("LD_LIBRARY_PATH") == 0);
  if (what == "other") require(setenv("LD_LIBRARY_PATH", "/nowhere", 1) == 0);
  if (what == "preload") require(setenv("LD_PRELOAD", "", 1) == 0);
  if (what == "clear") require(clearenv() == 0);
  if (what == "no_environment") environ = nullptr;
  if (what == "title") overwrite_start(argv);
  if (what == "folder") require(chdir("/") == 0);
  if (what == "folder_and_title") {
    require(chdir("/") == 0);
    overwrite_start(argv);
  }
  if (what == "stale_variable") require(setenv("PROCPOOL_SERVER", "5.1.0.0.0", 1) == 0);
  if (what == "unlink") require(unlink(file.c_str()) == 0);
  if (what == "replace") replace_program(file);
  if (what == "constructor") require(setenv("END_IN_A_CONSTRUCTOR", "1", 1) == 0);
  if (what == "no_proc") hide_proc();
  if (what == "pid_namespace") enter_pid_namespace();
  if (what == "effective_user") require(getuid() == 0 && seteuid(65534) == 0);
}

start_method method_of(const std::string& name) {
  if (name == "fork") return start_method::fork;
  return name == "forkserver" ? start_method::forkserver : start_method::spawn;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  const start_method method = method_of(argv[1]);
  const std::string what = argv[2];
  const std::string file = argc > 3 ? argv[3] : "";
  change(what, argv, file);
  try {
    process_pool_executor pool(
        {.max_workers = 1, .start = method, .workers = {.limit_threads = false}});
    // The variable is not the program's, even if it was set there.
    unsetenv("PROCPOOL_SERVER");
    const std::string there = pool.submit(now, 1).get();
    const std::string here = now(1);
    std::printf("%s\n", there == here ? "works" : ("differs: " + there + "\nnot: " + here).c_str());
  } catch (const std::exception& e) {
    std::printf("%s\n", e.what());
  }
  std::fflush(stdout);
  _exit(0);  // a leak checker does not work in all of these circumstances
}
