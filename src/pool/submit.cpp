// A task goes in. The usual path takes one mutex, finds a warm record with its slot, copies the
// payload, and makes two stores that others see: the state word and the ring's tail.
#include <algorithm>
#include <cstring>
#include <limits>
#include <system_error>
#include <thread>

#include "futures/kept_error.hpp"
#include "objects/parent_registry.hpp"
#include "os/futex.hpp"
#include "pool/inline_pool.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/at_exit.hpp"

namespace procpool::parent {
namespace {

using futures::kept_current_error;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

constexpr u32 least_growth = 256;
constexpr std::size_t collect_every = 256;
constexpr std::size_t few = 16;
constexpr u32 enough_slots = 16'384;
constexpr std::chrono::microseconds first_nap{50}, last_nap{2000};

// freed_ holds this once the pool is abandoned.
task_record* closed_list() {
  static char mark;
  return reinterpret_cast<task_record*>(&mark);
}

}  // namespace

void pool::check_open() const {
  if (!broken_.empty()) throw broken_process_pool(broken_);
  if (stopping_) {
    throw shutdown_error("this pool was shut down: submit before shutdown(), or make a new pool");
  }
}

// After the mutex was left. The hint is visible before the look who sleeps; a worker says first
// that it sleeps and then looks for hints: one of the two sees the other.
void pool::kick() noexcept {
  base::fence_after_exchange();
  roster_.kick();
}

task_record* pool::commit(const task_image& image, bool may_wait) {
  std::unique_lock lock(mutex_);
  if (!usual_ && !admit_unusual(lock, image.length, may_wait)) return nullptr;
  task_record* r = free_;
  if (r != nullptr) [[likely]] {
    free_ = r->next;
  } else {
    r = take_free(lock, may_wait);
    if (r == nullptr) return nullptr;
  }
  if (image.options != nullptr) [[unlikely]] {
    try {
      make_extras(*r, *image.options, image);
    } catch (...) {
      r->extras.reset();
      r->next = std::exchange(free_, r);
      throw;
    }
  }
  if (image.objects != nullptr) {
    // relaxed: the word that says READY releases it
    r->argument_objects.store(std::exchange(*image.objects, nullptr), std::memory_order_relaxed);
  }
  fill(*r, image);
  make_ready(*r);
  // Arguments of tasks that are over do not wait for the next large one.
  if (++submitted_ % collect_every == 0) collect_freed();
  lock.unlock();
  kick();
  return r;
}

// The first task, the last ones, and those of pools with a budget. False if it would have to wait.
bool pool::admit_unusual(std::unique_lock<os::short_mutex>& lock, u64 bytes, bool may_wait) {
  check_open();
  // Registered after the program's static objects, so that it runs before their destructors.
  if (!exit_hook_set_) {
    exit_hook_set_ = runtime::finish_at_exit(runtime::finish_order::process_pools, &finish_all);
  }
  usual_ = exit_hook_set_ && !options_.max_pending_bytes;
  return !options_.max_pending_bytes || admit(lock, bytes, may_wait);
}

void pool::make_extras(task_record& r, const task_options& o, const task_image& image) {
  if (o.retries == 0 && o.label.empty()) return;
  task_extras& extras = r.more();
  extras.label = o.label;
  extras.retries = o.retries;
  if (o.retries > 0 && !image.block) {
    extras.inline_payload.assign(image.inline_bytes, image.inline_bytes + image.length);
  }
}

// The record has a slot that nobody else touches.
inline void pool::fill(task_record& r, const task_image& image) noexcept {
  r.generation += u64{1} << shm::generation_shift;
  r.references.store(1, std::memory_order_relaxed);
  r.items = image.items;
  r.payload_length = image.length;
  // relaxed: it changes under the mutex only
  shm::slot& s = *r.slot.load(std::memory_order_relaxed);
  if (image.block) {
    r.arguments = image.block;
    r.payload_block = image.block.offset;
  } else {
    r.payload_block = 0;
    // In whole words, which is quicker than to the byte: both have room for them.
    for (std::size_t at = 0; at < image.length; at += sizeof(u64)) {
      std::memcpy(s.bytes + at, image.inline_bytes + at, sizeof(u64));
    }
  }
  s.code = image.code;
  if (image.items != 0) {
    auto& progress = *new (s.bytes) shm::chunk_progress{};
    progress.count = image.items;
    r.first_item = 0;
  }
}

// Everything that a worker reads, then the word, then the hint.
void pool::make_ready(task_record& r) {
  shm::slot& s = *r.slot.load(std::memory_order_relaxed);
  // relaxed: the word releases them
  s.length.store(r.payload_length, std::memory_order_relaxed);
  s.block.store(r.payload_block, std::memory_order_relaxed);
  s.chunk = r.items != 0 ? 1 : 0;
  s.started.store(0, std::memory_order_relaxed);
  r.off_list.store(false, std::memory_order_relaxed);
  // release: the payload before the word; flags that listeners set since stay
  s.word.store(shm::make_word(r.generation, shm::task_phase::ready), std::memory_order_release);
  put_hint(r);
}

void pool::put_hint(task_record& r) {
  if (tail_ - head_ >= shm::ring_entries) {
    // Only now: workers write that line with each task, and it only grows.
    head_ = region_.control().head.load(std::memory_order_relaxed);
    if (tail_ - head_ > shm::ring_entries) mend_control();
    if (tail_ - head_ >= shm::ring_entries) compact_ring();
  }
  // relaxed: others use it under the mutex, or to guess what comes next
  r.hint_position.store(tail_, std::memory_order_relaxed);
  // relaxed: the tail releases it
  region_.hint(tail_).store(r.generation | r.index, std::memory_order_relaxed);
  // release: with the tail come the hint and the slot
  region_.control().tail.store(++tail_, std::memory_order_release);
}

// The ring is full of hints for tasks that were cancelled: take them out as a worker would.
void pool::compact_ring() {
  std::atomic<u64>& head = region_.control().head;
  for (u32 turns = 0; turns < shm::ring_entries; ++turns) {
    u64 h = head.load();
    if (tail_ - h <= shm::ring_entries / 2) return;
    // relaxed, here and below: as in put_hint; we are the one who puts hints
    const u64 hint = region_.hint(h).load(std::memory_order_relaxed);
    if (!head.compare_exchange_strong(h, h + 1)) continue;
    task_record* r = record_at(static_cast<u32>(hint & shm::slot_index_mask));
    u64 word = 0;
    if (r == nullptr || !r->load(word) || shm::phase_of(word) != shm::task_phase::ready) continue;
    if (r->generation != shm::generation_of(hint)) continue;
    r->hint_position.store(tail_, std::memory_order_relaxed);
    region_.hint(tail_).store(hint, std::memory_order_relaxed);
    region_.control().tail.store(++tail_, std::memory_order_release);
  }
}

task_record* pool::take_free(std::unique_lock<os::short_mutex>& lock, bool may_wait) {
  std::chrono::microseconds nap = first_nap;
  for (;;) {
    if (task_record* r = pop_freed()) return r;
    // relaxed: a hint
    if (dropped_.load(std::memory_order_relaxed) != 0) {
      const std::lock_guard hub(completion_hub::instance().mutex());
      drain();
    }
    if (task_record* r = pop_freed()) return r;
    if (grow()) continue;
    harvest();
    if (task_record* r = pop_freed()) return r;
    if (!may_wait) return nullptr;
    // Every slot holds an unfinished task. A worker frees the first one; nobody tells us.
    lock.unlock();
    std::this_thread::sleep_for(nap);
    nap = std::min(nap * 2, last_nap);
    lock.lock();
    check_open();
  }
}

// The records that came back, and the blocks of their arguments.
std::size_t pool::collect_freed() noexcept {
  // relaxed: only whether there are any
  const task_record* waiting = freed_.load(std::memory_order_relaxed);
  if (waiting == nullptr || waiting == closed_list()) return 0;
  std::size_t count = 0;
  // acquire: what the releasing threads wrote into the records
  task_record* r = freed_.exchange(nullptr, std::memory_order_acquire);
  while (r != nullptr) {
    task_record* next = r->next;
    if (r->arguments) blocks_.release(std::exchange(r->arguments, {}));
    if (std::exchange(r->damaged, false)) [[unlikely]]
      abandon_slot(*r);
    // relaxed: the exchange has acquired it
    if (r->slot.load(std::memory_order_relaxed) != nullptr) {
      r->next = std::exchange(free_, r);
    } else {
      r->next = std::exchange(slotless_, r);
    }
    r = next;
    ++count;
  }
  return count;
}

task_record* pool::pop_freed() {
  if (free_ == nullptr && collect_freed() < few && free_ != nullptr) {
    // As many tasks are in flight as there are slots: with some more, records come back in bulk.
    if (++scarce_ % few == 0 && region_.allocated_slots() < enough_slots) grow_if_possible();
  }
  if (free_ == nullptr) return nullptr;
  task_record* r = free_;
  free_ = r->next;
  return r;
}

// Without memory for it there is a record all the same.
void pool::grow_if_possible() noexcept {
  try {
    grow();
  } catch (const std::exception&) {
    return;
  }
}

bool pool::grow() {
  const u32 before = region_.allocated_slots();
  if (before == shm::max_slots) return false;
  const u32 after = std::min(shm::max_slots, before + std::max(least_growth, before / 4));
  // All records before the first slot: memory may run out here, and each slot has a record.
  u32 spare = 0;
  for (const task_record* r = slotless_; r != nullptr && spare < after - before; r = r->next) {
    ++spare;
  }
  for (; spare < after - before; ++spare) make_record();
  region_.allocate_slots(after);
  // Descending, so that the lowest index is used first.
  for (u32 i = region_.allocated_slots(); i-- > before;) {
    task_record* r = slotless_;
    slotless_ = r->next;
    r->index = i;
    r->generation = 0;
    r->objects_of = ~u64{0};  // the generations of this slot begin anew
    r->doubted_word = 0;
    r->slot.store(&region_.at(i), std::memory_order_relaxed);
    by_slot_[i].store(r, std::memory_order_release);
    r->next = std::exchange(free_, r);
  }
  return true;
}

void pool::make_record() {
  records_.push_back(std::make_unique<task_record>(*this));
  task_record* r = records_.back().get();
  // relaxed: nobody knows of it yet
  r->references.store(0, std::memory_order_relaxed);
  r->next = std::exchange(slotless_, r);
}

// All slots are taken: outcomes that nobody has read yet move to private memory. Throws if there is
// none for any of them.
void pool::harvest() {
  may_save_ = view_.most_bytes();
  bool any = false;
  std::exception_ptr failed;
  for (u32 i = 0; i < region_.allocated_slots(); ++i) {
    task_record* r = record_at(i);
    if (r->items != 0) continue;
    try {
      if (harvest_one(*r, without_memory::leave)) any = true;
    } catch (const std::exception&) {
      // It stays where it is; what comes may be smaller.
      failed = std::current_exception();
    }
  }
  if (failed && !any) std::rethrow_exception(failed);
}

// The outcomes of one sweep, or of one harvest, have no more bytes than the region together: who
// says so has written lengths where it must not.
void pool::charge_saving(u64 bytes) {
  if (bytes > may_save_) throw codec_error(damaged_text);
  may_save_ -= bytes;
}

// True if the outcome is in private memory now, and the slot is free. Without memory: throws
// std::bad_alloc or std::system_error, and it stays where it is; or it is given up, if there is
// memory for the next record of the slot.
bool pool::harvest_one(task_record& r, without_memory what) {
  u64 word = 0;
  if (r.references.load() == 0 || !r.load(word) || !shm::is_resolved(word)) return false;
  // A slot on a done-list is a link of it.
  if ((word & shm::notify_flag) != 0 && shm::phase_of(word) == shm::task_phase::done &&
      !r.off_list.load()) {
    return false;
  }
  if (slotless_ == nullptr) make_record();  // who gets the slot
  std::uint32_t unpinned = 0;
  if (!r.pins.compare_exchange_strong(unpinned, harvesting)) return false;
  if (r.references.load() == 0) {
    // Its future went while we looked.
    r.pins.store(0, std::memory_order_relaxed);
    return false;
  }
  const auto without = [&] {
    if (what == without_memory::give_up) {
      r.error = out_of_memory_;
      return;
    }
    // Who has begun to wait meanwhile finds it in its place. release: as below
    r.pins.fetch_sub(harvesting, std::memory_order_release);
    throw;
  };
  try {
    if (r.names_objects(word)) take_over_objects(r, word);
    if (r.items != 0) {
      const auto* progress = reinterpret_cast<shm::chunk_progress*>(r.slot.load()->bytes);
      if (shm::phase_of(word) == shm::task_phase::done) {
        std::vector<chunk_piece>& pieces = r.more().pieces;
        pieces.reserve(pieces.size() + 1);
        chunk_piece piece = copy_items(r, word, progress->progress.load());
        if (piece.items != 0) pieces.push_back(std::move(piece));
        r.error = r.error_of_rest();
      }
    } else {
      // As bytes: decoding an exception runs code of the user, and this is under the mutex.
      const raw_outcome o = r.find_outcome(word);
      charge_saving(o.size);
      std::vector<std::byte> copy(o.data, o.data + o.size);
      r.error = o.error;
      r.saved = std::move(copy);
      r.saved_exception = o.is_exception;
    }
  } catch (const std::bad_alloc&) {
    without();
  } catch (const std::system_error&) {
    without();  // no address space to map it
  } catch (...) {
    r.error = kept_current_error(out_of_memory_);
  }
  if (shm::phase_of(word) == shm::task_phase::cancelled) r.was_cancelled.store(true);
  r.give_back_result();
  shm::slot& s = *r.slot.load();
  give_slot_away(r);
  // Who still sleeps on the word finds that the record has no slot.
  if ((word & shm::waiter_flag) != 0) os::futex_wake(s.word, std::numeric_limits<int>::max());
  // release: the copy before the mark; who finds it reads no slot. Added, not stored: threads that
  // wait for the copy have counted themselves already.
  r.pins.fetch_add(harvested - harvesting, std::memory_order_release);
  return true;
}

void pool::give_slot_away(task_record& r) noexcept {
  if (r.arguments) blocks_.release(std::exchange(r.arguments, {}));
  task_record* heir = slotless_;
  slotless_ = heir->next;
  heir->index = r.index;
  heir->generation = r.generation;
  heir->objects_of = r.generation;  // the outcome that still lies there was taken over
  heir->doubted_word = 0;
  heir->slot.store(r.slot.exchange(nullptr), std::memory_order_relaxed);
  by_slot_[r.index].store(heir, std::memory_order_release);
  heir->next = std::exchange(free_, heir);
}

// Tasks that have not begun may hold so many bytes of arguments. What has begun is not told to us,
// so the sum is an upper bound that is counted anew when it seems to be too much.
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
    // A task that is larger than the whole budget goes when nothing else waits.
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
  const std::lock_guard lock(mutex_);
  check_open();
  collect_freed();  // the block that was used last is warm
  const shm::block b = blocks_.allocate(bytes);
  if (b.capacity >= shm::large_block && !tends_) {
    tends_ = true;
    tend_at_ = std::chrono::steady_clock::now() + tend_pause;
    wake_supervisor();
  }
  return b;
}

void pool::release_block(shm::block b) noexcept {
  const std::lock_guard lock(mutex_);
  blocks_.release(b);
}

// From any thread, without the mutex.
void pool::give_back(task_record& r) noexcept {
  task_record* head = freed_.load(std::memory_order_relaxed);
  while (head != closed_list()) {
    r.next = head;
    // release: the record's last changes before it is found on the list
    if (freed_.compare_exchange_weak(head, &r, std::memory_order_release,
                                     std::memory_order_relaxed)) {
      return;
    }
  }
  disown();
}

// The executor is gone. What is still in use owns the pool now, and so does the supervisor until it
// has ended.
void pool::abandon() noexcept {
  std::unique_lock lock(mutex_);
  abandoned_ = true;
  stopping_ = true;
  usual_ = false;
  std::int64_t idle = 0;
  // acquire: as in collect_freed; who comes later finds the list closed
  task_record* r = freed_.exchange(closed_list(), std::memory_order_acquire);
  for (; r != nullptr; r = r->next) ++idle;
  for (r = free_; r != nullptr; r = r->next) ++idle;
  for (r = slotless_; r != nullptr; r = r->next) ++idle;
  const std::int64_t owners = static_cast<std::int64_t>(records_.size()) - idle + (ended_ ? 0 : 1);
  lock.unlock();
  const std::int64_t change = owners - executor_share;
  // acquire, release: what all owners did, before the last one deletes it
  if (owners_.fetch_add(change, std::memory_order_acq_rel) + change == 0) delete this;
}

bool pool::try_own() noexcept {
  std::int64_t n = owners_.load(std::memory_order_relaxed);
  while (n > 0) {
    // acquire, release: as in abandon()
    if (owners_.compare_exchange_weak(n, n + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

void pool::disown() noexcept {
  // acquire, release: as in abandon()
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace procpool::parent

namespace procpool::detail {

pool_hold::pool_hold(task_target to) noexcept : target_(to) {
  if (target_.pool != nullptr) {
    target_.pool->own();
  } else {
    target_.here->own();
  }
}
pool_hold::~pool_hold() {
  if (target_.pool != nullptr) {
    if (target_.pool->is_here()) target_.pool->disown();
  } else {
    if (target_.here->is_here()) target_.here->disown();
  }
}
int pool_hold::max_workers() const noexcept {
  return target_.pool != nullptr ? target_.pool->max_workers() : target_.here->max_workers();
}

submission::submission(task_target to)
    : wire_writer(buffer_, buffer_ + inline_bytes, &grow, &note), pool_(to.pool), here_(to.here) {
  static_assert(inline_bytes == shm::inline_bytes);
}

submission::~submission() {
  delete objects_;
  if (offset_ != 0) pool_->release_block({offset_, capacity_, size_class_});
  if (pool_ == nullptr && begin_ != buffer_) ::operator delete(begin_);
}

void submission::note(wire_writer& base, const shared_object& object) {
  auto& self = static_cast<submission&>(base);
  if (object.use()->home != parent::objects::existing()) {
    throw codec_error("this handle belongs to another process, and cannot be sent from here");
  }
  if (self.objects_ == nullptr) self.objects_ = new parent::object_refs;
  // The same array for each item of a chunk is the usual case.
  if (!self.objects_->empty() && self.objects_->back().use() == object.use()) return;
  self.objects_->push_back(object);
}

void submission::grow(wire_writer& base, std::size_t need) {
  auto& self = static_cast<submission&>(base);
  if (self.pool_ == nullptr) {
    self.grow_here(need);
    return;
  }
  const std::size_t used = self.size();
  const std::size_t enough = self.offset_ == 0 ? used + need : std::max(used + need, 2 * used);
  const shm::block bigger = self.pool_->allocate_block(enough);
  std::byte* to = nullptr;
  try {
    to = self.pool_->address(bigger.offset, bigger.capacity);
  } catch (...) {
    self.pool_->release_block(bigger);
    throw;
  }
  std::memcpy(to, self.begin_, used);
  if (self.offset_ != 0) {
    self.pool_->release_block({self.offset_, self.capacity_, self.size_class_});
  }
  self.offset_ = bigger.offset;
  self.capacity_ = bigger.capacity;
  self.size_class_ = bigger.size_class;
  self.begin_ = to;
  self.cur_ = to + used;
  self.end_ = to + bigger.capacity;
}

void submission::grow_here(std::size_t need) {
  const std::size_t used = size();
  const std::size_t enough = std::max(used + need, 2 * used);
  auto* const to = static_cast<std::byte*>(::operator new(enough));
  std::memcpy(to, begin_, used);
  if (begin_ != buffer_) ::operator delete(begin_);
  begin_ = to;
  cur_ = to + used;
  end_ = to + enough;
}

state_ptr submission::run_here(code_ref code, const task_options* options, std::uint32_t items) {
  return here_->run({code, {begin_, size()}, items, options});
}

state_ptr submission::commit(code_ref code, const task_options* options, std::uint32_t items,
                             bool may_wait) {
  if (options != nullptr && options->retries < 0) {
    throw std::invalid_argument("task_options::retries must be at least 0");
  }
  if (pool_ == nullptr) [[unlikely]]
    return run_here(code, options, items);
  // A chunk counts its progress in the slot, so its payload lies in a block.
  if (items != 0 && offset_ == 0) grow(*this, 1);
  parent::task_image image;
  image.code = code.bits;
  image.inline_bytes = buffer_;
  image.length = size();
  image.block = {offset_, capacity_, size_class_};
  image.items = items;
  image.options = options;
  if (objects_ != nullptr) image.objects = &objects_;
  parent::task_record* r = pool_->commit(image, may_wait);
  if (r != nullptr) offset_ = 0;
  return state_ptr(r);
}

}  // namespace procpool::detail
