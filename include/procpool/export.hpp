#pragma once

// PROCPOOL_EXPORT marks what the shared library shows: functions defined in a .cpp file that
// headers or users call, and classes with a vtable or type information that must be one and the
// same on both sides of the library's border (exceptions above all). Everything else is hidden.
// ELF makes no difference between exporting and importing, so neither does the macro; in a static
// library it changes nothing.

#define PROCPOOL_EXPORT __attribute__((visibility("default")))
