// Another process, one instruction at a time, and the instructions of this program by name. x86-64.
//
// Calls into shared libraries are one step: what the protocol does lies between them, and whatever
// they leave in memory is seen after they return. Both processes must run this program at the same
// addresses (one forked from the other).
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace procpool::testing {

// What objdump says of this program. Addresses are those of the running process.
class disassembly {
 public:
  struct instruction {
    std::string function;  // demangled, with its parameters
    std::string text;
  };
  // The functions whose names begin with one of `prefixes`. Padding is left out.
  explicit disassembly(const std::vector<std::string>& prefixes);

  const std::map<std::uint64_t, instruction>& instructions() const { return instructions_; }
  bool contains(std::uint64_t address) const { return instructions_.count(address) != 0; }
  // The library function that a stub at this address calls, or null.
  const std::string* stub(std::uint64_t address) const;

 private:
  std::map<std::uint64_t, instruction> instructions_;
  std::map<std::uint64_t, std::string> stubs_;
};

class stepper {
 public:
  // Stops the process. Throws std::system_error where tracing is not allowed.
  stepper(pid_t pid, const disassembly& program);
  ~stepper();  // lets it go on, if it still lives
  stepper(const stepper&) = delete;
  stepper& operator=(const stepper&) = delete;

  bool alive() const { return alive_; }
  std::uint64_t position() const { return registers_.rip; }
  // The name of the library function that the next step calls, or null.
  const std::string* next_call() const { return program_->stub(position()); }
  void step();
  // If the next step is a compare-and-swap, it will fail, as if another process had come before.
  void spoil_comparison();
  void kill();

 private:
  void run_call(std::uint64_t back);
  void wait_for_stop();

  pid_t pid_;
  const disassembly* program_;
  bool alive_ = true;
  user_regs_struct registers_{};
};

}  // namespace procpool::testing
