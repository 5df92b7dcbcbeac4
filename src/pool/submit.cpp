// Submission of a task. The usual path takes one mutex, pops a recently used record with its slot,
// copies the payload, and publishes it with two stores: the state word and the ring's tail.
#include <algorithm>
#include <cstring>
#include <thread>

#include "futures/future_errors.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/at_exit.hpp"

namespace procpool::parent {
namespace {

using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

constexpr std::size_t collect_every = 256;
constexpr std::chrono::microseconds first_nap{50}, last_nap{2000};

// Copies an inline payload in whole words, which is faster than the exact length: both buffers have
// room. Returns the number of bytes.
inline std::size_t copy_words(std::byte* to, const task_image& image) {
  std::size_t at = 0;
  for (; at < image.length; at += sizeof(u64)) {
    std::memcpy(to + at, image.inline_bytes + at, sizeof(u64));
  }
  return at;
}

}  // namespace

void pool::check_open() const {
  if (!broken_.empty()) throw broken_process_pool(broken_);
  if (stopping_) detail::throw_shut_down();
}

// Called after the mutex is unlocked. The parent publishes the hint before it looks for sleeping
// workers; a worker marks itself asleep before it looks for hints: at least one of them sees the
// other.
void pool::kick() noexcept {
  base::fence_after_exchange();
  roster_.kick();
}

task_record* pool::commit(const task_image& image, bool may_wait) {
  base::unique_lock lock(mutex_);
  if (!fast_path_ && !admit_slow(lock, image.length, may_wait)) return nullptr;
  task_record* r = slots_.pop_free();
  if (r == nullptr) [[unlikely]] {
    r = take_free(lock, may_wait);
    if (r == nullptr) return nullptr;
  }
  if (image.options != nullptr) [[unlikely]] {
    fill_with_options(*r, image);
  } else {
    fill(*r, image);
    make_ready(*r, image.items != 0 ? shm::is_chunk : 0);
  }
  // Frees the arguments of finished tasks now, not only when the next block is allocated.
  if (++submitted_ % collect_every == 0) slots_.collect_returned();
  lock.unlock();
  kick();
  return r;
}

void pool::fill_with_options(task_record& r, const task_image& image) {
  const task_options& o = *image.options;
  try {
    make_extras(r, o, image);
  } catch (...) {
    r.extras.reset();
    slots_.push_free(r);
    throw;
  }
  fill(r, image);
  std::uint16_t traits = image.items != 0 ? shm::is_chunk : 0;
  if (o.time_limit) {
    traits |= shm::is_watched;
    r.limited = r.generation;
    r.time_limit = *o.time_limit;
    if (watch_.expect(*o.time_limit)) wake_supervisor();
  }
  make_ready(r, traits);
}

// The slow path: the first task, tasks after a shutdown, and pools with a budget. False if the task
// would have to wait.
bool pool::admit_slow(std::unique_lock<os::short_mutex>& lock, u64 bytes, bool may_wait) {
  check_open();
  // Registered after the constructors of the program's static objects, so that it runs before their
  // destructors.
  if (!exit_hook_set_) {
    exit_hook_set_ = runtime::finish_at_exit(runtime::finish_order::process_pools, &finish_all);
  }
  recall_workers(false);
  fast_path_ = exit_hook_set_ && !options_.max_pending_bytes && !crew_.any_away();
  return !options_.max_pending_bytes || admit(lock, bytes, may_wait);
}

void pool::make_extras(task_record& r, const task_options& o, const task_image& image) {
  if (o.retries == 0 && o.label.empty()) return;
  task_extras& extras = r.more();
  if (!o.label.empty()) extras.label = o.label;
  extras.retries = o.retries;
  if (o.retries > 0 && !image.block) extras.kept_bytes = copy_words(extras.kept, image);
}

// No other thread or process uses the slot of the record.
[[gnu::always_inline]] inline void pool::fill(task_record& r, const task_image& image) noexcept {
  if (image.objects != nullptr) {
    // relaxed: the store of READY releases it
    r.argument_objects.store(std::exchange(*image.objects, nullptr), std::memory_order_relaxed);
  }
  r.generation += u64{1} << shm::generation_shift;
  r.references.store(1, std::memory_order_relaxed);
  r.items = image.items;
  r.payload_length = image.length;
  // relaxed: changed only under the mutex
  shm::slot& s = *r.slot.load(std::memory_order_relaxed);
  if (image.block) {
    r.arguments = image.block;
    r.payload_block = image.block.offset;
  } else {
    r.payload_block = 0;
    copy_words(s.bytes, image);
  }
  s.code = image.code;
  if (image.items != 0) {
    auto& progress = *new (s.bytes) shm::chunk_progress{};
    progress.count = image.items;
    r.first_item = 0;
  }
}

// Stores everything that a worker reads, then the state word, then the hint.
[[gnu::always_inline]] inline void pool::make_ready(task_record& r, std::uint16_t traits) {
  shm::slot& s = *r.slot.load(std::memory_order_relaxed);
  // relaxed: the store of the word releases them
  s.length.store(r.payload_length, std::memory_order_relaxed);
  s.block.store(r.payload_block, std::memory_order_relaxed);
  s.traits = traits;
  s.started.store(0, std::memory_order_relaxed);
  r.off_list.store(false, std::memory_order_relaxed);
  // release: publishes the payload with the word; flags that listeners set afterwards stay
  s.word.store(shm::make_word(r.generation, shm::task_phase::ready), std::memory_order_release);
  hints_.put(r);
}

task_record* pool::take_free(std::unique_lock<os::short_mutex>& lock, bool may_wait) {
  std::chrono::microseconds nap = first_nap;
  for (;;) {
    if (task_record* r = slots_.pop_returned()) return r;
    // relaxed: a hint
    if (dropped_.load(std::memory_order_relaxed) != 0) {
      const base::lock_guard hub(completion_hub::instance().mutex());
      drain();
    }
    if (task_record* r = slots_.pop_returned()) return r;
    if (slots_.grow()) continue;
    slots_.harvest();
    if (task_record* r = slots_.pop_returned()) return r;
    if (!may_wait) return nullptr;
    // Every slot holds an unfinished task. Workers do not report when one ends, so this thread
    // polls.
    lock.unlock();
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, last_nap);
    lock.lock();
    check_open();
  }
}

// The budget limits the bytes of arguments of tasks that have not begun. Workers do not report
// begun tasks, so the sum is an upper bound, recounted when it exceeds the budget.
bool pool::admit(std::unique_lock<os::short_mutex>& lock, u64 bytes, bool may_wait) {
  std::chrono::microseconds nap = first_nap;
  const u64 most = *options_.max_pending_bytes;
  while (pending_bytes_ + bytes > most) {
    u64 sum = 0;
    for (u32 i = 0; i < region_.allocated_slots(); ++i) {
      const task_record* r = record_at(i);
      u64 word = 0;
      if (r->load(word) && shm::phase_of(word) == shm::task_phase::ready) sum += r->payload_length;
    }
    pending_bytes_ = sum;
    // A task larger than the whole budget is admitted when no other task waits.
    if (sum == 0 || sum + bytes <= most) break;
    if (!may_wait) return false;
    lock.unlock();
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, last_nap);
    lock.lock();
    check_open();
  }
  pending_bytes_ += bytes;
  return true;
}

shm::block pool::allocate_block(u64 bytes) {
  const base::lock_guard lock(mutex_);
  check_open();
  slots_.collect_returned();  // the last used block is in the cache
  const shm::block b = blocks_.allocate(bytes);
  if (b.capacity >= shm::large_block && !trims_) {
    trims_ = true;
    trim_at_ = std::chrono::steady_clock::now() + trim_pause;
    wake_supervisor();
  }
  return b;
}

void pool::release_block(shm::block b) noexcept {
  const base::lock_guard lock(mutex_);
  blocks_.release(b);
}

}  // namespace procpool::parent
