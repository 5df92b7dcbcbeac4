// Another process, one instruction at a time. x86-64.
//
// What lies outside of the code that is asked for (library functions, those of the program that are
// not of interest) is one step: what the protocol does lies between them, and whatever they leave
// in memory is seen after they return. Both processes must run this program at the same addresses
// (one forked from the other).
#pragma once

#include <sys/types.h>
#include <sys/user.h>

#include <string>
#include <vector>

#include "chaos/disassembly.hpp"

namespace procpool::testing {

class stepper {
 public:
  // Stops the process. Throws std::system_error where tracing is not allowed.
  stepper(pid_t pid, const disassembly& program, const reachable_code& code);
  ~stepper();  // continues it, if it still lives
  stepper(const stepper&) = delete;
  stepper& operator=(const stepper&) = delete;

  bool alive() const { return alive_; }
  address position() const { return registers_.rip; }
  // The name of the library function that the next step calls, or null.
  const std::string* next_call() const { return program_->stub(position()); }
  void step();
  // Lets it run to that address.
  void run_to(address a);
  // If the next step is a compare-and-swap, it will fail, as if another process had come before.
  void spoil_comparison();
  // The library function that the next step calls is not called: it returns -1 and sets errno.
  void fail_call(int error);
  void kill();

 private:
  void run_foreign(address back);
  address return_address() const;
  void set_errno();
  // Until one of these is reached.
  void run_until(const std::vector<address>& stops);
  void wait_for_stop();
  void set_registers();

  pid_t pid_;
  const disassembly* program_;
  const reachable_code* code_;
  std::vector<address> throws_;  // stubs that do not return
  address pending_ = 0;          // where the foreign function returns to that is being unwound
  int errno_ = 0;                // what the next look at errno is to find, or 0
  bool alive_ = true;
  user_regs_struct registers_{};
};

}  // namespace procpool::testing
