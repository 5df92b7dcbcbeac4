// The ways in which code can go wrong, for tests that do so at every place where a worker runs code
// of others.
#pragma once

#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace procpool::testing {

enum class how {
  segv,
  kill,
  term,
  abort_,
  terminate,
  stack_overflow,
  exit_,
  underscore_exit,
  quick_exit_,
  throw_,
  throw_int,
  hang
};
inline constexpr how all_hows[] = {
    how::segv,        how::kill,           how::term,      how::abort_,
    how::terminate,   how::stack_overflow, how::exit_,     how::underscore_exit,
    how::quick_exit_, how::throw_,         how::throw_int, how::hang};

inline int overflow_the_stack(volatile char* below) {
  volatile char page[4096];
  page[0] = below == nullptr ? '\0' : below[0];
  if (page[0] == 'x') return 0;  // never, but the compiler does not know
  return overflow_the_stack(page) + page[0];
}

// Any process and thread; comes back from none of them.
inline void strike(how h) {
  switch (h) {
    case how::segv:
      signal(SIGSEGV, SIG_DFL);  // a sanitizer's own handler would turn it into an exit
      raise(SIGSEGV);
      break;
    case how::kill:
      raise(SIGKILL);
      break;
    case how::term:
      raise(SIGTERM);
      break;
    case how::abort_:
      signal(SIGABRT, SIG_DFL);
      std::abort();
    case how::terminate:
      signal(SIGABRT, SIG_DFL);
      std::terminate();
    case how::stack_overflow:
      signal(SIGSEGV, SIG_DFL);
      std::exit(overflow_the_stack(nullptr));
    case how::exit_:
      std::exit(3);
    case how::underscore_exit:
      ::_exit(4);
    case how::quick_exit_:
      std::quick_exit(5);
    case how::throw_:
      throw std::out_of_range("struck");
    case how::throw_int:
      throw 42;
    case how::hang:
      for (;;) pause();
  }
}

inline int expected_signal(how h) {
  switch (h) {
    case how::segv:
    case how::stack_overflow:
      return SIGSEGV;
    case how::kill:
      return SIGKILL;
    case how::term:
      return SIGTERM;
    case how::abort_:
    case how::terminate:
      return SIGABRT;
    default:
      return 0;
  }
}

inline int expected_exit_code(how h) {
  switch (h) {
    case how::exit_:
      return 3;
    case how::underscore_exit:
      return 4;
    case how::quick_exit_:
      return 5;
    default:
      return 0;
  }
}

// How messages name what ended the worker.
inline std::string expected_cause(how h) {
  switch (expected_signal(h)) {
    case 0:
      return "left with exit code " + std::to_string(expected_exit_code(h));
    case SIGSEGV:
      return "ended by signal 11 (SIGSEGV)";
    case SIGKILL:
      return "ended by signal 9 (SIGKILL)";
    case SIGTERM:
      return "ended by signal 15 (SIGTERM)";
    default:
      return "ended by signal 6 (SIGABRT)";
  }
}

}  // namespace procpool::testing
