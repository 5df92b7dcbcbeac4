// Kills workers of a pool at random moments, stops some of them before, continues some of those,
// and notes what each was at when it died. And the threads of a storm.
//
// A pool whose workers die again and again before any of them has run a task gives up, and is
// right. So the killer lets the workers run something now and then, however slow the machine is.
#pragma once

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "chaos/region_window.hpp"
#include "procpool/procpool.hpp"
#include "support/pool_test.hpp"

namespace procpool::testing {

using namespace std::chrono_literals;

// Time in which anything may be under way.
inline void pause_up_to(std::mt19937_64& random, std::chrono::microseconds longest) {
  const auto limit = static_cast<std::uint64_t>(longest.count());
  std::this_thread::sleep_for(std::chrono::microseconds(random() % limit));
}

// A thread of a storm. What it throws is a failure, and not the end of the program.
template <class Function>
std::jthread storm_thread(std::atomic<bool>& over, Function function) {
  return std::jthread([&over, f = std::move(function)] {
    try {
      f();
    } catch (const std::exception& e) {
      ADD_FAILURE() << "a thread of the storm: " << e.what();
      over = true;
    }
  });
}

class killer {
 public:
  // `pause` is the longest time between two kills.
  killer(process_pool_executor& pool, const std::atomic<bool>& over, std::uint64_t seed,
         std::chrono::microseconds pause = 4ms)
      : pool_(pool),
        pause_(pause),
        over_(over),
        seats_(static_cast<std::uint32_t>(pool.max_workers())),
        tasks_seen_(seats_),
        random_(seed),
        window_(seats_) {}

  // Until so many are killed, or until that moment: then on a slow machine as long as less than
  // `least` are killed, but not for ever.
  void run(std::uint64_t kills, time_point until, std::uint64_t least = 0) {
    const time_point latest = until + duration(60);
    while (!over_ && killed_ < kills) {
      const time_point now = std::chrono::steady_clock::now();
      if (now >= latest || (now >= until && killed_ >= least)) break;
      let_them_work(latest);
      strike();
      pause_up_to(random_, pause_);
    }
  }
  std::uint64_t killed() const { return killed_; }
  const std::map<std::string, int>& states() const { return states_; }

 private:
  // After as many kills as there are workers: until one of them has run a task since the last time.
  void let_them_work(time_point latest) {
    if (killed_ - killed_at_work_ < seats_) return;
    eventually(
        [&] { return somebody_worked() || over_ || std::chrono::steady_clock::now() >= latest; });
    killed_at_work_ = killed_;
  }
  bool somebody_worked() {
    bool worked = false;
    for (std::uint32_t i = 0; i < seats_; ++i) {
      const std::uint64_t tasks = window_.worker(i).tasks.load();  // of this seat's present worker
      worked = worked || tasks > tasks_seen_[i];
      tasks_seen_[i] = tasks;
    }
    return worked;
  }
  void strike() {
    const auto seat = static_cast<std::uint32_t>(random_() % seats_);
    const auto pid_of = [&] { return pool_.stats().workers[seat].pid; };
    const pid_t pid = pid_of();
    if (pid == 0) return;
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    // Still that seat's: so the descriptor is of this worker, and not of the next process with its
    // number.
    if (fd >= 0 && pid_of() == pid) hit(fd, pid, seat);
    if (fd >= 0) close(fd);
  }
  void hit(int fd, pid_t pid, std::uint32_t seat) {
    const std::uint64_t dice = random_() % 8;
    std::string state = "not looked at";
    if (dice != 0) {
      signal_to(fd, SIGSTOP);
      if (stopped(pid)) state = look(seat);
      if (dice == 1) pause_up_to(random_, 5 * pause_);
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
    if (window_.worker(seat).ready.load() == 0) return "starting";
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
  std::chrono::microseconds pause_;
  const std::atomic<bool>& over_;
  std::uint32_t seats_;
  std::vector<std::uint64_t> tasks_seen_;
  std::mt19937_64 random_;
  region_window window_;
  std::uint64_t killed_ = 0, killed_at_work_ = 0;
  std::map<std::string, int> states_;
};

}  // namespace procpool::testing
