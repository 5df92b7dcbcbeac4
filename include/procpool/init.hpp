// For programs that are linked fully statically (-static, -static-pie). Other programs need no
// call: there the library detects by itself that a process was executed to be a fork server.
#pragma once

#include "procpool/export.hpp"

namespace procpool {

// Call it first thing in main(), before any other effect. It returns at once in the user's program,
// and never in a process that was executed as a fork server. Superfluous and repeated calls are
// harmless.
PROCPOOL_EXPORT void init(int argc, char** argv);

}  // namespace procpool
