#ifdef __x86_64__

#include "chaos/stepper.hpp"

#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <system_error>

namespace procpool::testing {
namespace {

// Where the first byte of the program's file is mapped.
std::uint64_t load_address() {
  std::ifstream maps("/proc/self/maps");
  std::uint64_t begin = 0;
  maps >> std::hex >> begin;
  return begin;
}

bool begins_with_one_of(const std::string& text, const std::vector<std::string>& prefixes) {
  for (const std::string& p : prefixes) {
    if (text.starts_with(p)) return true;
  }
  return false;
}

// They do not come back to where they were called.
bool never_returns(const std::string& name) {
  for (const char* n : {"__cxa_throw", "__cxa_rethrow", "_Unwind_Resume", "_exit", "pause"}) {
    if (name.starts_with(n)) return true;
  }
  return name.find("rethrow_exception") != std::string::npos ||
         name.find("__throw_") != std::string::npos;
}

long trace(__ptrace_request what, pid_t pid, std::uint64_t address, const void* data) {
  errno = 0;
  const long result = ptrace(what, pid, reinterpret_cast<void*>(address), data);
  if (errno != 0) throw std::system_error(errno, std::generic_category(), "ptrace");
  return result;
}

}  // namespace

disassembly::disassembly(const std::vector<std::string>& prefixes) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen("objdump -d -C --no-show-raw-insn /proc/$PPID/exe", "r"), &pclose);
  if (!pipe) throw std::runtime_error("objdump cannot be started");
  const std::uint64_t base = load_address();
  std::string function;
  bool wanted = false;
  char buffer[4096];
  while (fgets(buffer, sizeof buffer, pipe.get()) != nullptr) {
    std::string line(buffer);
    line.erase(line.find_last_not_of(" \n") + 1);
    if (line.ends_with(">:")) {
      const auto begin = line.find('<') + 1;
      function = line.substr(begin, line.size() - begin - 2);
      wanted = begins_with_one_of(function, prefixes);
      if (function.ends_with("@plt")) {
        stubs_[base + std::stoull(line, nullptr, 16)] = function.substr(0, function.size() - 4);
      }
      continue;
    }
    const auto colon = line.find(":\t");
    if (!wanted || colon == std::string::npos) continue;
    const std::string text = line.substr(colon + 2);
    if (text.find("nop") != std::string::npos || text.starts_with("xchg   %ax,%ax")) continue;
    instructions_[base + std::stoull(line, nullptr, 16)] = {function, text};
  }
}

const std::string* disassembly::stub(std::uint64_t address) const {
  const auto it = stubs_.find(address);
  return it == stubs_.end() ? nullptr : &it->second;
}

stepper::stepper(pid_t pid, const disassembly& program) : pid_(pid), program_(&program) {
  trace(PTRACE_SEIZE, pid_, 0, nullptr);
  trace(PTRACE_INTERRUPT, pid_, 0, nullptr);
  wait_for_stop();
}

stepper::~stepper() {
  if (alive_) ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
}

void stepper::step() try {
  const std::string* call = next_call();
  if (call != nullptr && !never_returns(*call)) {
    run_call(static_cast<std::uint64_t>(trace(PTRACE_PEEKTEXT, pid_, registers_.rsp, nullptr)));
    return;
  }
  trace(PTRACE_SINGLESTEP, pid_, 0, nullptr);
  wait_for_stop();
} catch (const std::system_error& e) {
  const std::string* call = next_call();
  throw std::runtime_error(std::string(e.what()) + " at " +
                           (call != nullptr ? *call : std::to_string(position())));
}

// With a breakpoint where the call comes back to.
void stepper::run_call(std::uint64_t back) {
  const long code = trace(PTRACE_PEEKTEXT, pid_, back, nullptr);
  const long trap = (code & ~0xffL) | 0xcc;
  trace(PTRACE_POKETEXT, pid_, back, reinterpret_cast<const void*>(trap));
  trace(PTRACE_CONT, pid_, 0, nullptr);
  wait_for_stop();
  if (!alive_) return;
  trace(PTRACE_POKETEXT, pid_, back, reinterpret_cast<const void*>(code));
  if (registers_.rip != back + 1) throw std::runtime_error("the call did not come back");
  registers_.rip = back;
  trace(PTRACE_SETREGS, pid_, 0, &registers_);
}

void stepper::spoil_comparison() {
  registers_.rax ^= 0x4000000040000000U;  // what is expected; differs in both halves now
  trace(PTRACE_SETREGS, pid_, 0, &registers_);
}

void stepper::kill() {
  ::kill(pid_, SIGKILL);  // traced by us, so the number is its own until we have waited for it
  while (alive_) wait_for_stop();
}

void stepper::wait_for_stop() {
  int status = 0;
  if (waitpid(pid_, &status, __WALL) != pid_) {
    throw std::system_error(errno, std::generic_category(), "waitpid");
  }
  alive_ = WIFSTOPPED(status);
  if (alive_ && WSTOPSIG(status) != SIGTRAP) {
    throw std::runtime_error("the traced process got signal " + std::to_string(WSTOPSIG(status)));
  }
  if (alive_) trace(PTRACE_GETREGS, pid_, 0, &registers_);
}

}  // namespace procpool::testing

#endif  // __x86_64__
