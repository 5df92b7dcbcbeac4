// Records where a process was when a fault ended it: installs, by sigaction and sigaltstack, a
// handler for SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP and SIGSYS, which unwinds the stack
// (_Unwind_Backtrace), finds the files in /proc/self/maps, writes a trace to memory that outlives
// the process, and then raises the signal again with its default action.
//
//   trace := frame*       frame := module "+0x" offset-in-the-file "\n"
//
//   module: a path; "#n" for the path of frame n, counted from 0; or "?" for code that is in no
//   file, with the address instead of the offset. The first frame is the faulting function, the
//   last is the function that the caller of trace_crashes() has called.
//
// The handler allocates nothing and takes no lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace procpool::os {

// For all threads of this process. A stack overflow is traced in threads that have an alternate
// stack; the calling thread gets one here. A signal that already has a handler keeps it. `text` and
// `length` stay valid until the process ends; a process that is forked from this one writes
// nothing. Call once. Does nothing where a sanitizer has its own handlers.
void trace_crashes(char* text, std::size_t capacity, std::atomic<std::uint32_t>& length) noexcept;

}  // namespace procpool::os
