// PROCPOOL_COMPONENT_EXPORT marks the few internal functions that a component, a library of its own
// such as procpool::remote, calls in the core library. A shared core library shows them to its
// components; users neither see nor call them, and a component works only with the core library of
// the same version. In a static library nothing has to be shown, and they stay hidden: several
// copies of a static library in one process must not find each other's. The definition alone
// decides that, so cmake/library.cmake hides them where they are defined, and all other sources
// compile to the same objects for both libraries.
#pragma once

#if defined(PROCPOOL_HIDE_COMPONENT_EXPORTS)
#define PROCPOOL_COMPONENT_EXPORT __attribute__((visibility("hidden")))
#else
#define PROCPOOL_COMPONENT_EXPORT __attribute__((visibility("default")))
#endif
