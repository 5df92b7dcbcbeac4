#include "parent/exit_hook.hpp"

#include <atomic>
#include <cstdlib>

#include "launch/role.hpp"
#include "parent/callbacks.hpp"
#include "parent/pool.hpp"
#include "parent/thread_pool.hpp"

namespace procpool::parent {
namespace {

constinit std::atomic<bool> armed{false};

void at_exit(int status, void*) {
  if (launch::current_role() != launch::process_role::parent) return;
  // Threads first: their tasks may use process pools.
  thread_pool::finish_all(status != 0);
  pool::finish_all(status != 0);
  finish_callbacks();
}

}  // namespace

bool arm_exit_hook() {
  armed.store(true, std::memory_order_relaxed);
  return on_exit(&at_exit, nullptr) == 0;
}

void arm_exit_hook_once() {
  // relaxed: twice is harmless
  if (!armed.load(std::memory_order_relaxed)) arm_exit_hook();
}

}  // namespace procpool::parent
