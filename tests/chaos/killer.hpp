// Kills workers of a pool at random moments, stops some of them before, lets some of those go on,
// and notes what each was at when it died.
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>

#include "chaos/region_window.hpp"
#include "procpool/procpool.hpp"
#include "support/pool_test.hpp"

namespace procpool::testing {

using namespace std::chrono_literals;

// Time in which anything may be under way.
inline void pause_up_to(std::mt19937_64& random, std::uint64_t microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(random() % microseconds));
}

class killer {
 public:
  killer(process_pool_executor& pool, const std::atomic<bool>& over, std::uint64_t seed)
      : pool_(pool),
        over_(over),
        seats_(static_cast<std::uint32_t>(pool.max_workers())),
        random_(seed),
        window_(seats_) {}

  void run(std::uint64_t kills, time_point until) {
    while (!over_ && killed_ < kills && std::chrono::steady_clock::now() < until) {
      strike();
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 4000));
    }
  }
  std::uint64_t killed() const { return killed_; }
  const std::map<std::string, int>& states() const { return states_; }

 private:
  void strike() {
    const auto seat = static_cast<std::uint32_t>(random_() % seats_);
    const auto pid_of = [&] { return pool_.stats().workers[seat].pid; };
    const pid_t pid = pid_of();
    if (pid == 0) return;
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    // Still that seat's: so the descriptor is of this worker, and not of who has its number next.
    if (fd >= 0 && pid_of() == pid) hit(fd, pid, seat);
    if (fd >= 0) close(fd);
  }
  void hit(int fd, pid_t pid, std::uint32_t seat) {
    const std::uint64_t dice = random_() % 8;
    std::string state = "not looked at";
    if (dice != 0) {
      signal_to(fd, SIGSTOP);
      if (stopped(pid)) state = look(seat);
      if (dice == 1) std::this_thread::sleep_for(std::chrono::microseconds(random_() % 20000));
      if (dice <= 2) {
        signal_to(fd, SIGCONT);
        if (dice == 1) return;  // it was only late
      }
    }
    if (signal_to(fd, SIGKILL)) {
      ++killed_;
      ++states_[state];
    }
  }
  static bool signal_to(int fd, int signal) {
    return syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  }
  static bool stopped(pid_t pid) {
    return eventually(
        [&] {
          std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
          // Not by stream iterators: they throw when the process vanishes between open and read.
          std::string text;
          std::getline(file, text, '\0');
          const auto end = text.rfind(')');
          return end == std::string::npos || text.substr(end + 2, 1) != "R";
        },
        20ms);
  }
  // By the words of its tasks and the counts of its line.
  std::string look(std::uint32_t seat) const {
    const shm::control_block& c = window_.control();
    if (window_.line(seat).ready.load() == 0) return "starting";
    for (std::uint32_t i = 0, end = window_.slots(); i < end; ++i) {
      const std::uint64_t word = window_.slot(i).word.load();
      if (word == 0) break;
      if (shm::worker_of(word) != seat) continue;
      const shm::task_phase p = shm::phase_of(word);
      if (p == shm::task_phase::kill) return "told to wait for its kill";
      if (p != shm::task_phase::claimed) continue;
      if (window_.slot(i).started.load() != shm::started_stamp(word)) return "claimed, not started";
      return "started";
    }
    if ((c.asleep[0].load() >> seat & 1U) != 0) return "asleep";
    return "between tasks";
  }

  process_pool_executor& pool_;
  const std::atomic<bool>& over_;
  std::uint32_t seats_;
  std::mt19937_64 random_;
  region_window window_;
  std::uint64_t killed_ = 0;
  std::map<std::string, int> states_;
};

}  // namespace procpool::testing
