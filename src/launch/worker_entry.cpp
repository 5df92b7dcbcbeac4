#include <atomic>

#include "launch/worker_context.hpp"

namespace procpool::launch {
namespace {

constinit std::atomic<worker_entry> replacement{nullptr};  // for tests

}  // namespace

void set_worker_entry(worker_entry entry) noexcept { replacement.store(entry); }

worker_entry current_worker_entry() noexcept {
  const worker_entry entry = replacement.load();
  return entry != nullptr ? entry : bound_worker_entry;
}

}  // namespace procpool::launch
