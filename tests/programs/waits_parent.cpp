// A program with a pool that is in trouble, or makes it: waits_parent <start method> <scene>.
// Leaves with 0 if all went as it should, 77 where the scene cannot be played here, and otherwise
// says on standard error what was wrong.
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr int cannot_be_played = 77;
constexpr uid_t nobody = 65534;

int failed = 0;

void expect(bool right, const std::string& what) {
  if (right) return;
  std::fprintf(stderr, "wrong: %s\n", what.c_str());
  failed = 1;
}

[[noreturn]] void skip(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  _exit(cannot_be_played);
}

int twice(int x) { return 2 * x; }
int die() { return std::raise(SIGKILL); }
int parent_of_this() { return getppid(); }
int hang() {
  for (;;) pause();
}
int nap(int ms) {
  const timespec time{ms / 1000, (ms % 1000) * 1'000'000L};
  return nanosleep(&time, nullptr);
}
std::size_t size_of(const std::vector<char>& v) { return v.size(); }
void drop_rights() {
  if (setgroups(0, nullptr) != 0 || setgid(nobody) != 0 || setuid(nobody) != 0) std::abort();
}
int drop_rights_in_a_task() {
  drop_rights();
  return 0;
}

template <class F>
double seconds(F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return duration(std::chrono::steady_clock::now() - begin).count();
}

// What the future says within half a minute; "a value".
template <class T>
std::string said_by(future<T>& f) {
  try {
    f.get_for(30s);
    return "a value";
  } catch (const std::exception& e) {
    return e.what();
  }
}
template <class E, class T>
bool throws(future<T>& f) {
  try {
    f.get_for(30s);
  } catch (const E&) {
    return true;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "another error: %s\n", e.what());
  }
  return false;
}

future<int> running(process_pool_executor& pool, int (*task)(int), int argument) {
  future<int> f = pool.submit(task, argument);
  expect(eventually([&] { return f.running(); }), "a task runs");
  return f;
}
int hang_with(int) { return hang(); }

// Everything that ends workers, once.
void use(const std::function<std::unique_ptr<process_pool_executor>()>& make,
         const std::function<void()>& change) {
  const auto first = make(), second = make(), third = make();
  expect(first->submit(twice, 1).get() == 2, "a task before");
  future<int> cancelled = running(*first, hang_with, 1);
  future<int> timed_out = running(*second, hang_with, 2);
  future<int> killed = running(*third, hang_with, 3);
  change();
  expect(cancelled.cancel(cancel_mode::kill_running), "cancel says yes");
  expect(throws<cancelled_error>(cancelled), "a running task is cancelled");
  future<int> next = first->submit(twice, 2);
  expect(next.get_for(30s) == 4, "a task in the replacement");
  future<int> crash = first->submit(die);
  expect(throws<worker_crashed>(crash), "a crash");
  expect(first->submit(twice, 3).get_for(30s) == 6, "a task after the crash");
  expect(seconds([&] { second->shutdown({.timeout = 200ms}); }) < 20, "shutdown in time");
  expect(timed_out.done(), "shutdown resolves what it kills");
  expect(throws<task_killed>(timed_out), "shutdown kills");
  third->kill_workers();
  expect(throws<task_killed>(killed), "kill_workers kills");
}

// --- rights ---

void dropped(const pool_options& options) {
  if (getuid() != 0) skip("only root can give up rights");
  use([&] { return std::make_unique<process_pool_executor>(options); }, drop_rights);
}

// Server and worker belong to another user, and the server is stopped: no worker can be killed.
void dropped_and_stopped(const pool_options& options) {
  if (getuid() != 0) skip("only root can give up rights");
  process_pool_executor pool(options);
  const int server = pool.submit(parent_of_this).get();
  future<int> f = running(pool, hang_with, 1);
  drop_rights_in_a_task();
  // The caller has the right that is missing here.
  std::printf("%d\n", server);
  std::fflush(stdout);
  char answer = 0;
  expect(read(STDIN_FILENO, &answer, 1) == 1, "the caller has stopped the server");
  expect(seconds([&] { pool.shutdown({.timeout = 100ms}); }) < 20, "shutdown comes back");
  expect(f.done(), "shutdown resolves what it cannot kill");
  const std::string said = said_by(f);
  expect(said.find("not known to be dead") != std::string::npos, said);
  expect(throws<broken_process_pool>(f) || !f.valid(), "the pool is broken");
}

// Both ends of the tie are cut at once, and the kernel has forgotten what workers are to die with.
void orphans(const pool_options& options, bool in_initializer) {
  if (getuid() != 0) skip("only root can give up rights");
  pool_options o = options;
  o.max_workers = 2;
  if (in_initializer) o.initializer = invocation(drop_rights);
  process_pool_executor pool(o);
  if (!in_initializer) pool.submit(drop_rights_in_a_task).get();
  const int server = pool.submit(parent_of_this).get();
  const future<int> f = running(pool, nap, 1500);
  ::kill(server, SIGKILL);
  ::kill(getpid(), SIGKILL);
}

// --- filters of system calls ---

constexpr std::uint32_t no_flag = 0;

struct refusal {
  int number;
  unsigned argument = 0;         // which must have
  std::uint32_t flag = no_flag;  // this bit; 0: whatever it has
};

// From here on these calls fail with `error`, in this process and in processes that it starts.
void refuse(const std::vector<refusal>& calls, int error) {
  std::vector<sock_filter> code{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  const auto answer = static_cast<std::uint32_t>(SECCOMP_RET_ERRNO | (error & 0xffff));
  for (const refusal& r : calls) {
    const auto number = static_cast<std::uint32_t>(r.number);
    if (r.flag == no_flag) {
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
      code.push_back(BPF_STMT(BPF_RET | BPF_K, answer));
    } else {
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 4));
      code.push_back(
          BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                   static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 8 * r.argument)));
      code.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, r.flag, 0, 1));
      code.push_back(BPF_STMT(BPF_RET | BPF_K, answer));
      code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    }
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  // All threads, since pools have some.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) {
    skip("no filters of system calls here");
  }
}

constexpr std::uint32_t noexec_seal = 8;
const std::vector<refusal> new_calls{{SYS_pidfd_open},
                                     {SYS_pidfd_send_signal},
                                     {SYS_close_range},
                                     {SYS_memfd_create, 1, noexec_seal}};

void filtered(const pool_options& options, int error, bool before) {
  if (before) refuse(new_calls, error);
  use([&] { return std::make_unique<process_pool_executor>(options); },
      [&] {
        if (!before) refuse(new_calls, error);
      });
}

// No process may send any signal, not even to itself.
void no_signals(const pool_options& options) {
  refuse({{SYS_pidfd_send_signal}, {SYS_kill}, {SYS_tgkill}, {SYS_tkill}}, EPERM);
  {
    process_pool_executor pool(options);
    future<int> f = running(pool, nap, 300);
    expect(f.cancel(cancel_mode::kill_running), "cancel says yes");
    expect(throws<cancelled_error>(f), "cancelled at the end of the task");
    expect(pool.submit(twice, 2).get_for(30s) == 4, "a task after it");
  }
  process_pool_executor pool(options);
  future<int> f = running(pool, nap, 8000);
  expect(seconds([&] { pool.shutdown({.timeout = 100ms}); }) < 20, "shutdown comes back");
  const std::string said = said_by(f);
  expect(said.find("not known to be dead") != std::string::npos, said);
}

// --- descriptors ---

std::set<int> open_descriptors() {
  std::set<int> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    all.insert(std::stoi(entry.path().filename().string()));
  }
  std::erase_if(all, [](int fd) { return fcntl(fd, F_GETFD) < 0; });
  return all;
}

// Files of the program's own, in place of what was closed.
class strangers {
 public:
  void replace(int fd) {
    close(fd);
    const int file = memfd_create("a file of the program", MFD_CLOEXEC);
    if (file != fd) {
      dup3(file, fd, O_CLOEXEC);
      close(file);
    }
    struct stat status{};
    fstat(fd, &status);
    inodes_[fd] = status.st_ino;
  }
  void check() const {
    for (const auto& [fd, inode] : inodes_) {
      struct stat status{};
      const std::string name = "descriptor " + std::to_string(fd);
      expect(fstat(fd, &status) == 0 && status.st_ino == inode, name + " was closed by the pool");
      expect(status.st_size == 0, name + " was written to by the pool");
    }
  }
  ~strangers() {
    for (const auto& [fd, inode] : inodes_) close(fd);
  }

 private:
  std::map<int, ino_t> inodes_;
};

void all_closed(const pool_options& options, bool reuse) {
  strangers files;
  {
    process_pool_executor pool(options);
    expect(pool.submit(twice, 1).get() == 2, "a task before");
    future<int> f = running(pool, hang_with, 1);
    future<int> waiting = pool.submit(twice, 2);
    for (const int fd : open_descriptors()) {
      if (fd <= STDERR_FILENO) continue;
      if (reuse) {
        files.replace(fd);
      } else {
        close(fd);
      }
    }
    for (future<int>* each : {&f, &waiting}) {
      const std::string said = said_by(*each);
      expect(said.find("descriptor") != std::string::npos, said);
    }
    try {
      static_cast<void>(pool.submit(twice, 3));
      expect(false, "the pool is broken");
    } catch (const broken_process_pool& e) {
      expect(std::strstr(e.what(), "descriptor") != nullptr, e.what());
    }
    expect(seconds([&] { pool.shutdown({.timeout = 1s}); }) < 20, "shutdown comes back");
  }
  files.check();
}

// Each one of a pool, as by a descriptor that is closed twice.
void one_closed(const pool_options& options) {
  process_pool_executor(options).submit(twice, 1).get();  // what stays is there before
  for (std::size_t i = 0;; ++i) {
    const std::set<int> before = open_descriptors();
    strangers file;
    {
      auto pool = std::make_unique<process_pool_executor>(options);
      pool->submit(twice, 1).get();
      const std::set<int> now = open_descriptors();
      std::vector<int> of_pool;
      std::ranges::set_difference(now, before, std::back_inserter(of_pool));
      expect(!of_pool.empty(), "a pool has descriptors");
      if (i >= of_pool.size()) return;
      file.replace(of_pool[i]);
      try {
        future<int> crash = pool->submit(die);
        expect(said_by(crash) != "a value", "a crash");
        future<std::size_t> large = pool->submit(size_of, std::vector<char>(100'000));
        expect(!said_by(large).empty(), "a task afterwards");
        future<int> f = pool->submit(hang_with, 1);
        expect(eventually([&] { return f.running() || f.done(); }), "it runs, or is told why not");
        expect(f.cancel(cancel_mode::kill_running) || f.done(), "it is cancelled");
        expect(said_by(f) != "a value", "it was cancelled");
      } catch (const error&) {  // the pool is broken
      }
      expect(seconds([&] { pool->shutdown({.timeout = 100ms}); }) < 20, "shutdown comes back");
    }
    file.check();
  }
}

// No descriptor more can be opened.
void no_descriptors(const pool_options& options, bool not_even_those) {
  use([&] { return std::make_unique<process_pool_executor>(options); },
      [&] {
        rlimit limit{};
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = not_even_those ? 0 : static_cast<rlim_t>(*open_descriptors().rbegin()) + 1;
        for (int fd = 3; !not_even_those && fd < static_cast<int>(limit.rlim_cur); ++fd) {
          if (fcntl(fd, F_GETFD) < 0) dup3(STDERR_FILENO, fd, O_CLOEXEC);  // the holes
        }
        setrlimit(RLIMIT_NOFILE, &limit);
      });
}

// --- memory ---

// None for the program, from here on.
void no_memory(const pool_options& options) {
  const auto pool = std::make_unique<process_pool_executor>(options);
  future<int> f = running(*pool, hang_with, 1);
  std::vector<future<int>> waiting;
  for (int i = 0; i < 1000; ++i) waiting.push_back(pool->submit(twice, i));
  rlimit old{}, none{};
  getrlimit(RLIMIT_AS, &old);
  none = {1, old.rlim_max};
  setrlimit(RLIMIT_AS, &none);
  std::vector<std::unique_ptr<char[]>> all;  // what the allocator has left
  for (std::size_t size = std::size_t{1} << 26U; size >= 64; size /= 2) {
    while (char* p = new (std::nothrow) char[size]) {
      std::unique_ptr<char[]> owner(p);
      if (all.size() == all.capacity()) {
        try {
          all.push_back(std::move(owner));
        } catch (const std::bad_alloc&) {
          break;
        }
      } else {
        all.push_back(std::move(owner));
      }
    }
  }
  double took = 0;
  const char* thrown = nullptr;
  try {
    took = seconds([&] { pool->shutdown({.timeout = 100ms}); });
  } catch (const std::exception& e) {
    thrown = e.what();
  }
  const bool resolved =
      f.done() && std::ranges::all_of(waiting, [](const auto& w) { return w.done(); });
  setrlimit(RLIMIT_AS, &old);
  all.clear();
  expect(thrown == nullptr, thrown != nullptr ? thrown : "");
  expect(took < 20, "shutdown comes back");
  expect(resolved, "all are resolved");
}

}  // namespace

int main(int, char** argv) {
  pool_options o{.max_workers = 1};
  for (const start_method m : {start_method::fork, start_method::forkserver, start_method::spawn}) {
    if (name_of(m) == argv[1]) o.start = m;
  }
  pool_options captured = o;
  captured.capture_stderr = true;
  const std::map<std::string, std::function<void()>> scenes{
      {"dropped", [&] { dropped(o); }},
      {"dropped_and_stopped", [&] { dropped_and_stopped(o); }},
      {"orphans_of_an_initializer", [&] { orphans(o, true); }},
      {"orphans_of_a_task", [&] { orphans(o, false); }},
      {"EPERM_before", [&] { filtered(o, EPERM, true); }},
      {"EACCES_before", [&] { filtered(o, EACCES, true); }},
      {"ENOSYS_before", [&] { filtered(o, ENOSYS, true); }},
      {"EPERM_after", [&] { filtered(o, EPERM, false); }},
      {"EACCES_after", [&] { filtered(o, EACCES, false); }},
      {"ENOSYS_after", [&] { filtered(o, ENOSYS, false); }},
      {"no_signals", [&] { no_signals(o); }},
      {"all_closed", [&] { all_closed(o, false); }},
      {"all_replaced", [&] { all_closed(o, true); }},
      {"all_replaced_with_capture", [&] { all_closed(captured, true); }},
      {"one_closed", [&] { one_closed(captured); }},
      {"no_descriptors", [&] { no_descriptors(o, false); }},
      {"no_limit_at_all", [&] { no_descriptors(o, true); }},
      {"no_memory", [&] { no_memory(o); }},
  };
  scenes.at(argv[2])();
  return failed;
}
