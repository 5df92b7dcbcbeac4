// For programs that are linked fully statically (-static, -static-pie). All others need nothing of
// this: there the library sees by itself whether it runs in a program that was executed again to be
// a fork server.
#pragma once

#include "procpool/export.hpp"

namespace procpool {

// First thing in main(), before the program does anything with an effect. In the user's program it
// comes back at once; in one that was executed as a fork server it never does. Harmless where it is
// not needed, and when it is called more than once.
PROCPOOL_EXPORT void init(int argc, char** argv);

}  // namespace procpool
