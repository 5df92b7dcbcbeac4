// Where a process was when a fault ended it: a handler for SIGSEGV, SIGBUS, SIGILL, SIGFPE,
// SIGABRT, SIGTRAP and SIGSYS that writes the calls that were under way to memory which outlives
// the process, and then lets the signal do what it does.
//
//   trace := frame*       frame := module "+0x" offset-in-the-file "\n"
//   module is a path, or "#n" for that of frame n, counted from 0; "?" where code is in no file,
//   and then the offset is the address. The frame that faulted is the first one, and the last is
//   what the caller of trace_crashes() called.
//
// The handler calls nothing that could wait for a lock or allocate.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace procpool::os {

// For this process's calling thread and those that it starts later; their stack overflows too, if
// they have an alternate stack, as the calling thread gets here. A signal that has a handler
// already keeps it. `text` and `length` stay valid for the life of the process; a process that is
// forked from this one writes nothing. Call once. Does nothing where a sanitizer has handlers.
void trace_crashes(char* text, std::size_t capacity, std::atomic<std::uint32_t>& length) noexcept;

}  // namespace procpool::os
