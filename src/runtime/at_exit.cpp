#include "runtime/at_exit.hpp"

#include <atomic>
#include <cstdlib>

#include "runtime/process_role.hpp"

namespace procpool::runtime {
namespace {

constinit std::atomic<finisher> finishers[finish_orders]{};

void finish_all(int status, void*) {
  if (current_role() != process_role::parent) return;
  for (std::atomic<finisher>& entry : finishers)
    // acquire: the finisher sees the objects that were made before it was registered
    if (const finisher finish = entry.load(std::memory_order_acquire)) finish(status != 0);
}

}  // namespace

bool finish_at_exit(finish_order order, finisher function) noexcept {
  finishers[static_cast<int>(order)].store(function, std::memory_order_release);
  return on_exit(&finish_all, nullptr) == 0;
}

}  // namespace procpool::runtime
