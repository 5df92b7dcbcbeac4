// What happens at the end of the program to pools that were not shut down.
#pragma once

namespace procpool::parent {

// From now on, when the program ends: after `return` from main or exit(0), what was submitted runs;
// after an exit with an error status, what has not started is cancelled. Registered with each call,
// so that it runs before the destructors of objects that exist already. True.
bool arm_exit_hook();
// The same, unless it was called before: for what there may be without a pool.
void arm_exit_hook_once();

}  // namespace procpool::parent
