#include "os/trace/crash_trace.hpp"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <cstring>

#include "os/line_reader.hpp"
#include "os/sanitizers.hpp"

namespace procpool::os {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
constexpr std::size_t signal_stack_size = std::size_t{64} << 10;
constexpr int most_frames = 32;
// The handler runs in a damaged process: if it does not return in time, SIGALRM ends the process.
constexpr unsigned alarm_seconds = 2;

// One process is traced, and it dies once, so there are no locks and nothing is freed.
char* out = nullptr;
std::size_t room = 0;
std::atomic<std::uint32_t>* out_length = nullptr;
pid_t traced = 0;
std::uintptr_t outermost = 0;  // frames above this belong to the caller of trace_crashes()
std::atomic<bool> dying{false};

struct frame {
  std::uintptr_t address = 0;  // inside the call instruction, not the return address
  std::uintptr_t offset = 0;   // in the file
  bool in_file = false;
  std::size_t path_begin = 0, path_size = 0;  // in `out`, once it is there
  int same_as = -1;                           // the first frame with this path
};

struct trace {
  frame frames[most_frames];
  int count = 0;
};

_Unwind_Reason_Code note_frame(_Unwind_Context* context, void* argument) {
  auto& t = *static_cast<trace*>(argument);
  int faulted = 0;
  const std::uintptr_t ip = _Unwind_GetIPInfo(context, &faulted);
  if (ip == 0) return _URC_END_OF_STACK;
  // The frames before the interrupted frame are those of the handler.
  if (faulted != 0) t.count = 0;
  if (_Unwind_GetCFA(context) > outermost) return _URC_END_OF_STACK;
  if (t.count == most_frames) return _URC_END_OF_STACK;
  t.frames[t.count] = {};
  t.frames[t.count++].address = faulted != 0 ? ip : ip - 1;
  return _URC_NO_REASON;
}

std::uintptr_t take_hex(const char*& at) {
  std::uintptr_t value = 0;
  for (;; ++at) {
    if (*at >= '0' && *at <= '9') {
      value = value * 16 + static_cast<std::uintptr_t>(*at - '0');
    } else if (*at >= 'a' && *at <= 'f') {
      value = value * 16 + static_cast<std::uintptr_t>(*at - 'a') + 10;
    } else {
      return value;
    }
  }
}

class text_writer {
 public:
  bool put(const char* text, std::size_t size) {
    if (size > room - size_) return false;
    std::memcpy(out + size_, text, size);
    size_ += size;
    return true;
  }
  bool put_number(std::uintptr_t value, unsigned base) {
    char digits[20];
    std::size_t n = sizeof(digits);
    do {
      digits[--n] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    return put(digits + n, sizeof(digits) - n);
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

// Finds the file of each frame. The paths are put into the front of `names`.
void locate(trace& t, char* names, std::size_t names_room) {
  line_reader<4096, 1200> maps("/proc/self/maps");
  std::size_t used = 0;
  while (const char* at = maps.next()) {
    // begin-end permissions offset device inode path
    const std::uintptr_t begin = take_hex(at);
    if (*at++ != '-') continue;
    const std::uintptr_t end = take_hex(at);
    if (std::strlen(at) < 6) continue;
    at += 6;
    const std::uintptr_t file_offset = take_hex(at);
    const char* path = std::strchr(at, '/');
    const std::size_t size = path != nullptr ? std::strlen(path) : 0;
    int first = -1;
    for (int i = 0; i < t.count; ++i) {
      frame& f = t.frames[i];
      if (f.address < begin || f.address >= end || size == 0) continue;
      f.in_file = true;
      f.offset = f.address - begin + file_offset;
      if (first < 0) {
        if (size > names_room - used) return;
        std::memcpy(names + used, path, size);
        first = i;
        f.path_begin = used;
        f.path_size = size;
        used += size;
      } else {
        f.path_begin = t.frames[first].path_begin;
        f.path_size = size;
      }
    }
  }
  // A file has several mappings: the same name again is the same file.
  for (int i = 0; i < t.count; ++i) {
    for (int j = 0; j < i && t.frames[i].same_as < 0; ++j) {
      const frame &a = t.frames[i], &b = t.frames[j];
      if (a.in_file && b.in_file && b.same_as < 0 && a.path_size == b.path_size &&
          std::memcmp(names + a.path_begin, names + b.path_begin, a.path_size) == 0) {
        t.frames[i].same_as = j;
      }
    }
  }
}

void write_trace() {
  static trace t;
  static char names[8192];
  _Unwind_Backtrace(note_frame, &t);
  locate(t, names, sizeof(names));
  text_writer writer;
  for (int i = 0; i < t.count; ++i) {
    const frame& f = t.frames[i];
    bool fits = true;
    if (!f.in_file) {
      fits = writer.put("?", 1);
    } else if (f.same_as >= 0) {
      fits = writer.put("#", 1) && writer.put_number(static_cast<std::uintptr_t>(f.same_as), 10);
    } else {
      fits = writer.put(names + f.path_begin, f.path_size);
    }
    fits = fits && writer.put("+0x", 3) &&
           writer.put_number(f.in_file ? f.offset : f.address, 16) && writer.put("\n", 1);
    if (!fits) break;
    // After each line, so that complete lines are there if the handler itself faults.
    out_length->store(static_cast<std::uint32_t>(writer.size()), std::memory_order_release);
  }
}

// Installed with SA_RESETHAND: when the signal is raised again, its default action ends the
// process.
void on_fault(int signal) {
  const int saved = errno;
  if (::getpid() == traced && !dying.exchange(true)) {
    struct sigaction end{};
    end.sa_handler = SIG_DFL;
    ::sigaction(SIGALRM, &end, nullptr);
    sigset_t alarm_only;
    ::sigemptyset(&alarm_only);
    ::sigaddset(&alarm_only, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
    ::alarm(alarm_seconds);
    write_trace();
    ::alarm(0);
  }
  // The signal is blocked until the handler returns, and then ends the process where it faulted.
  ::raise(signal);
  errno = saved;
}

}  // namespace

void trace_crashes(char* text, std::size_t capacity, std::atomic<std::uint32_t>& length) noexcept {
  if (thread_sanitizer || address_sanitizer) return;
  out = text;
  room = capacity;
  out_length = &length;
  traced = ::getpid();
  outermost = reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa());
  // A handler cannot run on a stack that has overflowed.
  stack_t current{};
  if (::sigaltstack(nullptr, &current) == 0 && (current.ss_flags & SS_DISABLE) != 0) {
    void* memory = ::mmap(nullptr, signal_stack_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory != MAP_FAILED) {
      stack_t own{};
      own.ss_sp = memory;
      own.ss_size = signal_stack_size;
      ::sigaltstack(&own, nullptr);
    }
  }
  // The first call of the unwinder allocates its tables: here, not in the handler.
  trace first;
  _Unwind_Backtrace(note_frame, &first);
  for (const int signal : signals) {
    struct sigaction action{};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action = {};
    action.sa_handler = on_fault;
    action.sa_flags = SA_ONSTACK | static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace procpool::os
