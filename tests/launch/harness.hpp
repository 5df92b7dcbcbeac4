// What the tests of the fork servers share: workers that do what their argument says, a pool
// without a parent's side, and the check that nothing is left.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "launch/fork_server_client.hpp"
#include "launch/start_server.hpp"
#include "os/mapping.hpp"
#include "os/memfd.hpp"
#include "os/program_signals.hpp"
#include "procpool/detail/task/code_ref.hpp"
#include "runtime/process_role.hpp"
#include "shm/process_page.hpp"
#include "support/leak_check.hpp"

namespace procpool::testing {

using namespace std::chrono_literals;
using launch::fork_server_client;
using launch::seat_id;
using launch::server_event;
using kind = server_event::kind;

// --- workers
// ---------------------------------------------------------------------------------------

enum class job : std::uint64_t { sleep, leave, die, observe, call, leave_child };

constexpr std::uint64_t make_job(job what, std::uint64_t value = 0) {
  return static_cast<std::uint64_t>(what) | value << 8;
}

// In the region, one for each seat: what a worker saw, or what it is to call.
struct note {
  std::uint64_t code;
  std::uint64_t value;
  std::uint64_t done;
  char text[4096 - 24];
};

inline std::string read_file(const std::string& path) {
  // Not by a stream: reading about a process that ends meanwhile fails, and a stream throws then.
  const os::unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char part[4096];
  for (ssize_t n = 0; (n = ::read(file.get(), part, sizeof(part))) > 0;) {
    text.append(part, static_cast<std::size_t>(n));
  }
  return text;
}

inline std::string line_of(const std::string& text, const std::string& name) {
  const auto at = text.find("\n" + name + ":");
  if (at == std::string::npos) return {};
  const auto begin = text.find_first_not_of(" \t", at + name.size() + 2);
  return text.substr(begin, text.find('\n', begin) - begin);
}

inline void observe(note& out, const launch::worker_context& context) {
  const std::string status = read_file("/proc/self/status");
  char byte = 0;
  std::string text = "role=" + std::to_string(static_cast<int>(runtime::current_role()));
  text += " blocked=" + line_of(status, "SigBlk") + " caught=" + line_of(status, "SigCgt");
  text += " ignored=" + line_of(status, "SigIgn") + " threads=" + line_of(status, "Threads");
  text += " name=" + line_of("\n" + status, "Name");
  text += " stdin=" + std::to_string(::read(0, &byte, 1));
  text += " variable=" + std::to_string(::getenv("PROCPOOL_SERVER") != nullptr);
  text += " parent_is_server=" + std::to_string(::getppid() == context.server_pid);
  text += " own_session=" + std::to_string(::getsid(0) == ::getpid());
  text += " high_fds=" + std::to_string(context.region_fd > 2 && context.page_fd > 2) + " ";
  text.copy(out.text, sizeof(out.text) - 1);
}

inline void call(note& out, const launch::worker_context& context) {
  shm::attach_page(context.page_fd);
  try {
    auto* function =
        reinterpret_cast<std::uint64_t (*)(std::uint64_t)>(detail::from_code_ref({out.code}));
    out.value = function(out.value);
  } catch (const std::exception& e) {
    std::strncpy(out.text, e.what(), sizeof(out.text) - 1);
  }
}

inline void run_job(const launch::worker_context& context) {
  os::accept_signals(nullptr);
  const auto value = static_cast<int>(context.argument >> 8);
  os::mapping region = os::mapping::shared(context.region_fd, 0, os::file_size(context.region_fd));
  note& out = reinterpret_cast<note*>(region.data())[context.id.seat];
  switch (static_cast<job>(context.argument & 0xff)) {
    case job::sleep:
      for (;;) ::pause();
    case job::leave:
      ::_exit(value);
    case job::die:
      ::raise(value);
      break;
    case job::observe:
      observe(out, context);
      break;
    case job::call:
      call(out, context);
      break;
    case job::leave_child:
      if (const pid_t pid = ::fork(); pid != 0) {
        out.value = static_cast<std::uint64_t>(pid);
        ::_exit(0);
      }
      for (;;) ::pause();
  }
}

inline const bool entry_is_set = (launch::set_worker_entry(run_job), true);

// --- processes
// -------------------------------------------------------------------------------------

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = 30s) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

// Dead, whether or not it was reaped.
inline bool is_gone(pid_t pid) {
  const std::string stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto end = stat.rfind(')');
  if (end == std::string::npos) return true;
  if (stat[end + 2] != 'Z' && stat[end + 2] != 'X') return false;
  // With a sanitizer there are more threads, which keep descriptors open until they end, too.
  std::istringstream fields(stat.substr(end + 2));
  std::string field;
  for (int i = 0; i < 18; ++i) fields >> field;
  return std::stoi(field) <= 1;
}

// --- a pool without a parent's side
// ----------------------------------------------------------------

class test_pool {
 public:
  explicit test_pool(start_method method) : region_(os::create_memfd("test-region")) {
    os::grow_memfd(region_.get(), 64 * sizeof(note));
    notes_ = os::mapping::shared(region_.get(), 0, 64 * sizeof(note));
    client_ = fork_server_client::start({method, region_.get(), shm::parent_page_fd()});
    seen_.insert(client_->server_pid());
  }

  fork_server_client* operator->() { return client_.get(); }
  note& at(std::uint32_t seat) { return reinterpret_cast<note*>(notes_.data())[seat]; }
  const std::set<pid_t>& pids() const { return seen_; }

  // The next event within half a minute; server_gone, and a failure, if there is none.
  server_event next() {
    for (;;) {
      if (auto event = client_->next_event()) {
        if (event->pid > 0) seen_.insert(event->pid);
        return *event;
      }
      pollfd item{client_->event_fd(), POLLIN, 0};
      const int ready = ::poll(&item, 1, 30'000);
      if (ready == 0) {
        ADD_FAILURE() << "no event within 30 s";
        return {};
      }
    }
  }

  server_event start(std::uint32_t seat, std::uint64_t argument, std::uint32_t incarnation = 0) {
    client_->start_worker({seat, incarnation}, argument);
    const server_event event = next();
    EXPECT_EQ(event.what, kind::started);
    EXPECT_EQ(event.id, (seat_id{seat, incarnation}));
    EXPECT_GT(event.pid, 0);
    return event;
  }

  // Starts it and waits for its end.
  server_event run(std::uint64_t argument, std::uint32_t incarnation = 0) {
    start(0, argument, incarnation);
    const server_event event = next();
    EXPECT_EQ(event.what, kind::exited);
    EXPECT_EQ(event.id, (seat_id{0, incarnation}));
    return event;
  }

  void stop() { client_->stop(2s); }

 private:
  os::unique_fd region_;
  os::mapping notes_;
  std::unique_ptr<fork_server_client> client_;
  std::set<pid_t> seen_;
};

// Each test for each start method, followed by the check that nothing is left.
class launch_test : public ::testing::TestWithParam<start_method> {
 protected:
  void SetUp() override {
    adopt_orphans();
    // What stays for the life of the process is there before: the page, and the one master.
    if (GetParam() == start_method::forkserver) test_pool warm_up(GetParam());
    shm::parent_page();
    before_ = begin_leak_check();
  }

  // A server that is killed in the moment between forking and telling leaves a zombie that only the
  // wait loop of a subreaper, which this process is, can know of.
  void reap_strangers() {
    EXPECT_TRUE(eventually([&] {
      while (::waitpid(-1, nullptr, WNOHANG) > 0) {
      }
      return holdings::now().children <= before_.children;
    }));
  }

  holdings before_;
};

inline std::string method_name(const ::testing::TestParamInfo<start_method>& info) {
  switch (info.param) {
    case start_method::fork:
      return "fork";
    case start_method::forkserver:
      return "forkserver";
    default:
      return "spawn";
  }
}

#define PROCPOOL_LAUNCH_TESTS(suite)                                                        \
  INSTANTIATE_TEST_SUITE_P(                                                                 \
      each, suite,                                                                          \
      ::testing::Values(start_method::spawn, start_method::fork, start_method::forkserver), \
      method_name)

}  // namespace procpool::testing
