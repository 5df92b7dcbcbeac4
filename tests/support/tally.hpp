// A count that a test and the tasks of its pools share, whatever the start method: a file, whose
// size is the count. Tasks wait for it and the test adds to it, or the other way round.
//
//   tally gate;                                  // declared after the pool: it opens before the
//   auto f = pool.submit(await_tally, gate.path(), 1);   // pool waits for its tasks
//   ...
//   gate.add();
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include <unistd.h>

namespace procpool::testing {

// Task function. Any process, any thread.
inline void add_to_tally(const std::string& path) {
  std::ofstream(path, std::ios::app | std::ios::binary).put('x');
}

// Task function: until the count is `least`, or the tally is gone; throws after a minute.
inline void await_tally(const std::string& path, int least) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  for (;;) {
    std::error_code missing;
    const auto count = std::filesystem::file_size(path, missing);
    if (missing || count >= static_cast<std::uintmax_t>(least)) return;
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("nobody came");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

// Task function: says that it is there, waits, and returns its last argument.
inline int arrive_and_wait(const std::string& arrived, const std::string& gate, int result) {
  add_to_tally(arrived);
  await_tally(gate, 1);
  return result;
}

class tally {
 public:
  tally() : path_(::testing::TempDir() + "procpool-tally-XXXXXX") {
    const int fd = mkstemp(path_.data());
    if (fd < 0) throw std::runtime_error("no temporary file");
    close(fd);
  }
  ~tally() { unlink(path_.c_str()); }
  tally(const tally&) = delete;
  tally& operator=(const tally&) = delete;

  const std::string& path() const { return path_; }
  void add() const { add_to_tally(path_); }
  int count() const { return static_cast<int>(std::filesystem::file_size(path_)); }

 private:
  std::string path_;
};

}  // namespace procpool::testing
