#include "parent/exit_hook.hpp"

#include <cstdlib>

#include "launch/role.hpp"
#include "parent/callbacks.hpp"
#include "parent/pool.hpp"

namespace procpool::parent {
namespace {

void at_exit(int status, void*) {
  if (launch::current_role() != launch::process_role::parent) return;
  pool::finish_all(status != 0);
  finish_callbacks();
}

}  // namespace

bool arm_exit_hook() { return on_exit(&at_exit, nullptr) == 0; }

}  // namespace procpool::parent
