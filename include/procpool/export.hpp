#pragma once

#include "procpool/detail/build_mode.hpp"

// PROCPOOL_EXPORT marks the symbols that the shared library exports: functions defined in a .cpp
// file that headers or users call, and classes with a vtable or type information that must be the
// same on both sides of the library's border (exceptions above all). All other symbols are hidden.
// ELF makes no difference between exporting and importing, so neither does the macro; in a static
// library it changes nothing.

#define PROCPOOL_EXPORT __attribute__((visibility("default")))

// PROCPOOL_LOCAL marks templates of which each executable and each shared library has its own
// instance: templates with static variables, which g++ and the loader would merge for the whole
// process, and templates whose addresses name a function in another process.

#define PROCPOOL_LOCAL __attribute__((visibility("hidden")))
