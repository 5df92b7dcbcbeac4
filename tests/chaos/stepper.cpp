#ifdef __x86_64__

#include "chaos/stepper.hpp"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace procpool::testing {
namespace {

long trace(__ptrace_request what, pid_t pid, address a, const void* data) {
  errno = 0;
  const long result = ptrace(what, pid, reinterpret_cast<void*>(a), data);
  if (errno != 0) throw std::system_error(errno, std::generic_category(), "ptrace");
  return result;
}

}  // namespace

stepper::stepper(pid_t pid, const disassembly& program, const reachable_code& code)
    : pid_(pid), program_(&program), code_(&code) {
  for (const auto& [entry, f] : program.functions()) {
    if (f.is_stub && program.never_returns(entry)) throws_.push_back(entry);
  }
  trace(PTRACE_SEIZE, pid_, 0, nullptr);
  trace(PTRACE_INTERRUPT, pid_, 0, nullptr);
  wait_for_stop();
}

stepper::~stepper() {
  if (alive_) ptrace(PTRACE_DETACH, pid_, nullptr, nullptr);
}

void stepper::step() try {
  const address at = position();
  if (code_->contains(at)) pending_ = 0;
  if (next_call() != nullptr && program_->throws(at)) {
    // The unwinder says where it continues before it does.
    run_until({reinterpret_cast<address>(&_Unwind_SetIP)});
    if (alive_) run_until({registers_.rsi});
    return;
  }
  if (next_call() != nullptr && !program_->never_returns(at)) {
    const bool looks_at_errno = *next_call() == "__errno_location";
    run_until({return_address()});
    if (looks_at_errno && errno_ != 0) set_errno();
    return;
  }
  if (next_call() == nullptr && !code_->contains(at)) {
    if (program_->is_called_at(at)) {
      run_foreign(return_address());
      return;
    }
    if (pending_ != 0) {
      run_foreign(pending_);  // in a handler of its own
      return;
    }
  }
  trace(PTRACE_SINGLESTEP, pid_, 0, nullptr);
  wait_for_stop();
} catch (const std::system_error& e) {
  const auto it = program_->functions().upper_bound(position());
  const bool known = it != program_->functions().begin();
  throw std::runtime_error(std::string(e.what()) + " after " +
                           (known ? std::prev(it)->second.name : "the start"));
}

void stepper::run_to(address a) { run_until({a}); }

// To where it returns or throws.
void stepper::run_foreign(address back) {
  std::vector<address> stops = throws_;
  stops.push_back(back);
  run_until(stops);
  if (pending_ == 0 || position() == pending_) pending_ = position() == back ? 0 : back;
}

address stepper::return_address() const {
  return static_cast<address>(trace(PTRACE_PEEKTEXT, pid_, registers_.rsp, nullptr));
}

// With breakpoints.
void stepper::run_until(const std::vector<address>& stops) {
  std::vector<long> code;
  for (const address a : stops) {
    code.push_back(trace(PTRACE_PEEKTEXT, pid_, a, nullptr));
  }
  // One word may hold several: each changes its own byte.
  for (const address a : stops) {
    const long now = trace(PTRACE_PEEKTEXT, pid_, a, nullptr);
    trace(PTRACE_POKETEXT, pid_, a, reinterpret_cast<const void*>((now & ~0xffL) | 0xcc));
  }
  trace(PTRACE_CONT, pid_, 0, nullptr);
  wait_for_stop();
  if (!alive_) return;
  for (std::size_t i = 0; i < stops.size(); ++i) {
    const long now = trace(PTRACE_PEEKTEXT, pid_, stops[i], nullptr);
    const long was = (now & ~0xffL) | (code[i] & 0xffL);
    trace(PTRACE_POKETEXT, pid_, stops[i], reinterpret_cast<const void*>(was));
  }
  const address at = registers_.rip - 1;
  if (std::find(stops.begin(), stops.end(), at) == stops.end()) {
    throw std::runtime_error("the call did not come back");
  }
  registers_.rip = at;
  set_registers();
}

void stepper::spoil_comparison() {
  registers_.rax ^= 0x4000000040000000U;  // what is expected; differs in both halves now
  set_registers();
}

void stepper::fail_call(int error) {
  registers_.rip = return_address();
  registers_.rsp += 8;
  registers_.rax = static_cast<unsigned long long>(-1);
  set_registers();
  errno_ = error;
}

// rax has just got its address.
void stepper::set_errno() {
  const address where = registers_.rax;
  const long now = trace(PTRACE_PEEKDATA, pid_, where, nullptr);
  const long wanted = (now & ~0xffffffffL) | std::exchange(errno_, 0);
  trace(PTRACE_POKEDATA, pid_, where, reinterpret_cast<const void*>(wanted));
}

void stepper::kill() {
  ::kill(pid_, SIGKILL);  // traced by us, so the number is its own until we have waited for it
  while (alive_) wait_for_stop();
}

void stepper::set_registers() { trace(PTRACE_SETREGS, pid_, 0, &registers_); }

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
