// An outcome comes out: the owner of a future looks at the state word, sleeps on it, checks what
// the worker left, and gives slot and block back.
#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

#include "launch/role.hpp"
#include "os/futex.hpp"
#include "os/memfd.hpp"
#include "parent/pool.hpp"
#include "procpool/detail/thunks.hpp"
#include "procpool/errors.hpp"
#include "wire/exception_codec.hpp"
#include "wire/object_list.hpp"

namespace procpool::parent {
namespace {

using detail::task_status;
using shm::task_phase;
using shm::u32;
using shm::u64;
using namespace std::chrono_literals;

// A wake can be lost with the worker that was to send it.
constexpr std::chrono::nanoseconds longest_sleep = 500ms;
constexpr duration revival_pause = 500ms;
// A slot comes from a worker's cache: several on the way at once hide how long that takes.
constexpr u64 prefetch_ahead = 4;
constexpr u64 few_behind = 8;
constexpr u64 quicker_than_reading_ns = 400;
constexpr std::chrono::nanoseconds shortest_pause = 50us, longest_pause = 200us;

// Null unless the worker found no memory for the outcome.
std::exception_ptr no_room_error(const shm::slot& s) {
  if (s.kind.load(std::memory_order_relaxed) != static_cast<u32>(shm::outcome_kind::no_room)) {
    return nullptr;
  }
  return std::make_exception_ptr(std::system_error(
      static_cast<int>(s.length.load(std::memory_order_relaxed) & 0xffffU), std::generic_category(),
      "procpool: no shared memory for the result of this task: read results, submit fewer at a "
      "time, or free memory"));
}

[[noreturn]] void fail_damaged() {
  throw codec_error(
      "the outcome of this task was damaged in shared memory: a task wrote where it must not");
}

}  // namespace

bool task_record::load(u64& word) const noexcept {
  const shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  // acquire: with DONE comes the outcome
  word = s->word.load(std::memory_order_acquire);
  return shm::generation_of(word) == generation;
}

bool task_record::resolved() const noexcept {
  u64 word = 0;
  return !load(word) || shm::is_resolved(word);
}

task_status task_record::status() const {
  detail::check_process();
  u64 word = 0;
  if (was_cancelled.load(std::memory_order_acquire) && resolved()) return task_status::cancelled;
  if (!load(word)) return task_status::finished;
  switch (shm::phase_of(word)) {
    case task_phase::ready:
      return task_status::pending;
    case task_phase::claimed: {
      const shm::slot* s = slot.load(std::memory_order_acquire);
      if (s == nullptr) return task_status::finished;  // harvested since
      const u32 stamp = s->started.load(std::memory_order_relaxed);
      return stamp == shm::started_stamp(word) ? task_status::running : task_status::pending;
    }
    case task_phase::kill:
      return task_status::running;
    case task_phase::cancelled:
      return task_status::cancelled;
    default:
      return task_status::finished;
  }
}

bool task_record::set_flag(u64 flag) noexcept {
  shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr) return false;
  u64 word = s->word.load(std::memory_order_acquire);
  do {
    if (shm::generation_of(word) != generation || shm::is_resolved(word)) return false;
    // seq_cst: before our sleep or drain; the worker's CAS to DONE sees the flag or fails
  } while ((word & flag) == 0 && !s->word.compare_exchange_weak(word, word | flag));
  return true;
}

bool task_record::wait_until(const time_point* deadline) {
  detail::check_process();
  if (resolved()) return true;
  if (deadline != nullptr && *deadline <= std::chrono::steady_clock::now()) return resolved();
  const std::chrono::nanoseconds pause = owner->pause_for_backlog();
  if (pause != 0ns) {
    if (rest(pause, deadline)) return true;
  } else {
    const auto check = [this] { return resolved(); };
    const bool many = owner->behind(*this) > few_behind;
    if (patience::of_this_thread().look(check, owner->crowded(), many)) return true;
  }
  for (;;) {
    if (!set_flag(shm::waiter_flag)) return true;
    std::chrono::nanoseconds left = longest_sleep;
    if (deadline != nullptr) {
      const duration d = *deadline - std::chrono::steady_clock::now();
      if (d <= duration::zero()) return resolved();
      if (d < longest_sleep) left = std::chrono::duration_cast<std::chrono::nanoseconds>(d) + 1ns;
    }
    // Once: a sweep may give the slot away at any time. It stays mapped, and the sleep is bounded.
    shm::slot* s = slot.load(std::memory_order_acquire);
    u64 word = 0;
    if (s == nullptr || !load(word) || shm::is_resolved(word)) return true;
    const os::futex_result slept = os::futex_wait(s->word, static_cast<u32>(word), left);
    if (slept == os::futex_result::timed_out && shm::phase_of(word) == task_phase::ready) {
      owner->hint_again(*this);
    }
  }
}

void pool::prefetch_behind(const task_record& r) const noexcept {
  // relaxed: only a guess. The hint may be old, or damaged: any address will do.
  const u64 position = r.hint_position.load(std::memory_order_relaxed) + prefetch_ahead;
  const u64 hint = region_.hint(position).load(std::memory_order_relaxed);
  base::prefetch_to_write(&region_.at(static_cast<u32>(hint & shm::slot_index_mask)));
}

// Sleeps without asking to be woken. True if the task is resolved then.
bool task_record::rest(std::chrono::nanoseconds pause, const time_point* deadline) noexcept {
  if (deadline != nullptr) pause = std::min(pause, time_until(*deadline));
  shm::slot* s = slot.load(std::memory_order_acquire);
  u64 word = 0;
  if (s == nullptr || !load(word) || shm::is_resolved(word)) return true;
  os::futex_wait(s->word, static_cast<u32>(word), pause);
  return resolved();
}

// Hints that were put after this task's.
u64 pool::behind(const task_record& r) const noexcept {
  // relaxed: both are guesses
  return region_.control().tail.load(std::memory_order_relaxed) -
         r.hint_position.load(std::memory_order_relaxed);
}

bool pool::crowded() const noexcept { return roster_.awake() >= cpus_; }

// Where workers have all CPUs and many tasks are left to them, a thread that waits leaves them
// alone for an eighth of the time that these take: if it looked, a worker would not run, and if it
// were woken by each result, that would cost as much as a short task. 0: it may look.
std::chrono::nanoseconds pool::pause_for_backlog() const noexcept {
  if (!crowded()) return 0ns;
  const shm::control_block& c = region_.control();
  // relaxed: all of it is a guess
  const u64 head = c.head.load(std::memory_order_relaxed);
  const u64 tail = c.tail.load(std::memory_order_relaxed);
  if (tail < head + few_behind) return 0ns;
  const u64 usual = c.usual_ns.load(std::memory_order_relaxed);
  if (usual < quicker_than_reading_ns) return 0ns;
  const auto pause = std::chrono::nanoseconds((tail - head) * usual / cpus_ / 8);
  return pause < shortest_pause ? 0ns : std::min(pause, longest_pause);
}

bool task_record::add_pin() noexcept {
  // acquire: with `harvested` comes the copy
  std::uint32_t before = pins.fetch_add(1, std::memory_order_acquire);
  while ((before & harvesting) != 0) {
    base::relax();
    before = pins.load(std::memory_order_acquire);
  }
  return (before & harvested) != 0;
}

detail::outcome_view task_record::wait_and_pin() {
  u64 word = 0;
  if (detail::in_parent_process() && load(word) && shm::is_resolved(word)) {
    owner->prefetch_behind(*this);
  } else {
    wait_until(nullptr);
  }
  return pin();
}

detail::outcome_view task_record::pin() {
  const bool is_saved = add_pin();
  u64 word = 0;
  if (!is_saved && load(word) && shm::phase_of(word) == task_phase::done) [[likely]] {
    const shm::slot& s = *slot.load(std::memory_order_relaxed);
    // Each is loaded once, checked, and only the checked copy used.
    const u64 length = s.length.load(std::memory_order_relaxed);
    const bool is_value =
        s.kind.load(std::memory_order_relaxed) == static_cast<u32>(shm::outcome_kind::value);
    if (is_value && s.block.load(std::memory_order_relaxed) == 0 && length <= shm::inline_bytes) {
      return {nullptr, s.bytes, length};
    }
  }
  return pin_unusual(is_saved);
}

// Errors, what lies in a block, and what was harvested.
detail::outcome_view task_record::pin_unusual(bool is_saved) {
  u64 word = 0;
  if (is_saved && saved_exception) {
    detail::wire_reader reader(saved.data(), saved.size());
    return {wire::decode_exception(reader, label()), nullptr, 0};
  }
  if (is_saved) return {error, saved.data(), saved.size()};
  try {
    if (!load(word)) fail_damaged();
    if (names_objects()) owner->take_over_objects(*this, word);
    return read_outcome(word);
  } catch (...) {
    return {std::current_exception(), nullptr, 0};
  }
}

void task_record::unpin() noexcept { pins.fetch_sub(1, std::memory_order_release); }

raw_outcome task_record::find_outcome(u64 word) {
  if (shm::phase_of(word) == task_phase::cancelled) {
    return {std::make_exception_ptr(cancelled_error()), nullptr, 0, false};
  }
  if (shm::phase_of(word) == task_phase::crashed) return {error, nullptr, 0, false};
  if (shm::phase_of(word) != task_phase::done) fail_damaged();
  const shm::slot& s = *slot.load(std::memory_order_relaxed);
  // Each is loaded once, checked, and only the checked copy used.
  const u64 length = s.length.load(std::memory_order_relaxed);
  const u64 block = s.block.load(std::memory_order_relaxed);
  const u32 kind = s.kind.load(std::memory_order_relaxed);
  if (std::exception_ptr e = no_room_error(s)) return {std::move(e), nullptr, 0, false};
  if (block == 0 && length > shm::inline_bytes) fail_damaged();
  const std::byte* bytes = block == 0 ? s.bytes : owner->result_bytes(word, block, length);
  if (kind == static_cast<u32>(shm::outcome_kind::value)) return {nullptr, bytes, length, false};
  if (kind == static_cast<u32>(shm::outcome_kind::value_with_objects)) {
    return {nullptr, bytes, wire::object_list(bytes, length).value_size(), false};
  }
  if (kind != static_cast<u32>(shm::outcome_kind::exception)) fail_damaged();
  return {nullptr, bytes, length, true};
}

detail::outcome_view task_record::read_outcome(u64 word) {
  const raw_outcome o = find_outcome(word);
  if (!o.is_exception) return {o.error, o.data, o.size};
  detail::wire_reader reader(o.data, o.size);
  return {wire::decode_exception(reader, label()), nullptr, 0};
}

void task_record::pin_items(std::vector<detail::outcome_run>& out) {
  const bool is_saved = add_pin();
  std::exception_ptr rest = error;
  u32 left = items;
  u64 word = 0;
  const auto add = [&](const detail::outcome_run& run) {
    if (run.count > left) fail_damaged();
    out.push_back(run);
    left -= run.count;
  };
  try {
    read_pieces(add);
    if (!is_saved) {
      if (!load(word)) fail_damaged();
      if (shm::phase_of(word) == task_phase::done) {
        if (names_objects()) owner->take_over_objects(*this, word);
        read_items(word, add);
        rest = no_room_error(*slot.load());
      }
      if (shm::phase_of(word) == task_phase::cancelled) {
        rest = std::make_exception_ptr(cancelled_error());
      }
    }
    if (!rest && left != 0) fail_damaged();
  } catch (...) {
    rest = std::current_exception();
  }
  // What has no outcome of its own has that of the whole chunk.
  if (left != 0) out.push_back({{rest, nullptr, 0}, left});
}

void task_record::read_pieces(const run_sink& out) const {
  if (!extras) return;
  for (const chunk_piece& p : extras->pieces) {
    if (p.error) {
      out({{p.error, nullptr, 0}, p.items});
    } else {
      split_items(p.outcomes.data(), p.outcomes.size(), p.items, extras->label, out);
    }
  }
}

void task_record::read_items(u64 word, const run_sink& out) {
  const auto& line = *reinterpret_cast<const shm::chunk_progress*>(slot.load()->bytes);
  const u64 progress = line.progress.load(std::memory_order_acquire);
  const u64 offset = line.outcomes.load(std::memory_order_relaxed);
  // `first` is where the last worker began: the pieces hold what was before.
  const u32 first = line.first;
  const u32 finished = shm::progress_finished(progress);
  if (finished > items || first > finished) fail_damaged();
  const u64 bytes = u64{shm::progress_units(progress)} * 8;
  if (finished == first) return;
  split_items(owner->result_bytes(word, offset, bytes), bytes, finished - first,
              std::string(label()), out);
}

void split_items(const std::byte* data, std::size_t size, std::uint32_t items,
                 const std::string& label, const run_sink& out) {
  std::size_t at = 0;
  while (items != 0) {
    if (size - at < sizeof(u64)) fail_damaged();
    u64 header = 0;
    std::memcpy(&header, data + at, sizeof header);
    header = detail::loaded_once(header);
    at += sizeof header;
    const std::byte* bytes = data + at;
    u64 length = header >> 8U;
    u32 count = 1;
    if ((header & 0xffU) == detail::item_run) {
      const u32 stride = detail::run_stride(header);
      count = detail::run_count(header) == 0 ? items : detail::run_count(header);
      length = u64{count} * stride;
      if (count > items || length > size - at) fail_damaged();
      out({{nullptr, bytes, stride}, count});
    } else if (length > size - at) {
      fail_damaged();
    } else if ((header & 0xffU) == detail::item_exception) {
      detail::wire_reader reader(bytes, length);
      out({{wire::decode_exception(reader, label), nullptr, 0}, 1});
    } else if ((header & 0xffU) == detail::item_with_objects) {
      out({{nullptr, bytes, wire::object_list(bytes, length).value_size()}, 1});
    } else {
      out({{nullptr, bytes, length}, 1});
    }
    items -= count;
    at = std::min<std::size_t>(size, at + (length + 7) / 8 * 8);
  }
}

// Resolved by DONE.
std::exception_ptr task_record::error_of_rest() const { return no_room_error(*slot.load()); }

std::uint32_t task_record::elapsed_ns() const noexcept {
  u64 word = 0;
  const shm::slot* s = slot.load(std::memory_order_acquire);
  if (s == nullptr || !load(word) || shm::phase_of(word) != task_phase::done) return 0;
  return s->elapsed.load(std::memory_order_relaxed);
}

bool task_record::cancel(bool kill_running) {
  detail::check_process();
  shm::slot* s = slot.load(std::memory_order_acquire);
  u64 word = 0;
  for (;;) {
    if (s == nullptr || !load(word)) return status() == task_status::cancelled;
    switch (shm::phase_of(word)) {
      case task_phase::ready:
        if (!s->word.compare_exchange_strong(word, shm::with_phase(word, task_phase::cancelled))) {
          break;
        }
        owner->announce(*this);
        return true;
      case task_phase::claimed:
        if (!kill_running) return false;
        // Only the winner of this CAS kills: the worker cannot take another task any more.
        if (!s->word.compare_exchange_strong(word, shm::with_phase(word, task_phase::kill))) break;
        owner->kill_worker_of(*this, word);
        return true;
      case task_phase::kill:
        return true;
      default:
        return status() == task_status::cancelled;
    }
  }
}

// Under the hub's mutex, as are the next three.
void task_record::subscribe(detail::subscription& s) {
  detail::check_process();
  s.source = owner;
  s.next = listeners;
  listeners = &s;
  if (!set_flag(shm::notify_flag)) deliver();
}

void task_record::unsubscribe(detail::subscription& s) noexcept {
  for (detail::subscription** at = &listeners; *at != nullptr; at = &(*at)->next) {
    if (*at == &s) {
      *at = s.next;
      s.state = nullptr;
      return;
    }
  }
}

void task_record::deliver() noexcept {
  // The list has the last one first, and they are told in the order in which they came.
  detail::subscription* first = nullptr;
  while (listeners != nullptr) {
    detail::subscription* s = listeners;
    listeners = s->next;
    s->next = std::exchange(first, s);
  }
  while (first != nullptr) {
    detail::subscription& s = *first;
    first = s.next;
    s.state = nullptr;
    s.listener->completed(s);
  }
  if (dropped) {
    dropped = false;
    owner->dropped_one();
    finish_release();
  }
}

void task_record::release() noexcept {
  if (!detail::in_parent_process()) [[unlikely]]
    return;
  if (references.load(std::memory_order_acquire) != 1 &&
      references.fetch_sub(1, std::memory_order_acq_rel) != 1) {
    return;
  }
  u64 word = 0;
  if (load(word) && !shm::is_resolved(word)) {
    owner->drop(*this);
    return;
  }
  if ((word & shm::notify_flag) != 0) leave_list(word);
  finish_release();
}

void task_record::leave_list(u64 word) noexcept {
  if (shm::phase_of(word) != task_phase::done) return;
  if (off_list.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(completion_hub::instance().mutex());
  owner->drain();
}

void task_record::finish_release() noexcept {
  // Whoever is copying the outcome finishes first, and from here on nobody begins. Where there are
  // pins they are ours: nobody else refers to the task any more.
  u32 before = pins.load(std::memory_order_acquire);
  if (before == 0) before = pins.fetch_add(1, std::memory_order_acquire);
  while ((before & harvesting) != 0) {
    base::relax();
    before = pins.load(std::memory_order_acquire);
  }
  if (names_objects() || held) [[unlikely]]
    let_objects_go();
  if (has_block()) give_back_result();
  error = nullptr;
  if (!saved.empty()) saved = {};
  saved_exception = false;
  extras.reset();
  was_cancelled.store(false, std::memory_order_relaxed);
  // release: from here on a sweep finds nothing in use
  references.store(0, std::memory_order_release);
  // release: who harvests and finds no pins finds no references either
  pins.store(0, std::memory_order_release);
  owner->give_back(*this);
}

// Whether an outcome may lie in a block.
bool task_record::has_block() const noexcept {
  const shm::slot* s = slot.load(std::memory_order_relaxed);
  return s != nullptr && (items != 0 || s->block.load(std::memory_order_relaxed) != 0);
}

void task_record::give_back_result() noexcept {
  u64 word = 0;
  if (!load(word) || shm::phase_of(word) != task_phase::done) return;
  const shm::slot& s = *slot.load(std::memory_order_relaxed);
  const u64 block = items != 0
                        ? reinterpret_cast<const shm::chunk_progress*>(s.bytes)->outcomes.load()
                        : s.block.load(std::memory_order_relaxed);
  const u64 length = items != 0 ? 0 : s.length.load(std::memory_order_relaxed);
  if (block != 0) owner->give_back_block(word, block, length);
}

void task_record::report(std::exception_ptr e) noexcept { owner->report(std::move(e)); }

// The future is gone, the task is not done. It will be freed by whoever drains.
void pool::drop(task_record& r) noexcept {
  // The record may be the last that keeps the pool, and the pool must not end under the mutex.
  own();
  {
    const std::lock_guard lock(completion_hub::instance().mutex());
    r.dropped = true;
    const bool first = dropped_.fetch_add(1, std::memory_order_relaxed) == 0;
    if (first && objects::any_made())
      wake_supervisor();  // it may keep some: see look_after_objects
    if (!r.set_flag(shm::notify_flag)) {
      // Done in the meantime; if its slot is on a list, that list is emptied here.
      drain();
      if (r.dropped) r.deliver();
    }
  }
  disown();
}

void pool::announce(task_record& r) noexcept {
  u64 word = 0;
  if (!r.load(word)) return;
  // A submit may harvest it at any time from here on; then it has no slot, and the harvest wakes.
  shm::slot* s = r.slot.load();
  if ((word & shm::waiter_flag) != 0 && s != nullptr) {
    os::futex_wake(s->word, std::numeric_limits<int>::max());
  }
  if ((word & shm::notify_flag) == 0) return;
  completion_hub& hub = completion_hub::instance();
  const std::lock_guard lock(hub.mutex());
  r.deliver();
  hub.ring();
}

void pool::hint_again(task_record& r) noexcept {
  {
    const std::lock_guard lock(mutex_);
    u64 word = 0;
    if (!r.load(word) || shm::phase_of(word) != task_phase::ready) return;
    if (r.hint_position.load(std::memory_order_relaxed) >= region_.control().head.load()) return;
    put_hint(r);
  }
  roster_.kick();
}

void pool::drain() noexcept {
  // Entries that were pushed before their word said DONE: looked at again each time.
  for (task_record** at = &not_done_yet_; *at != nullptr;) {
    task_record* r = *at;
    if (r->resolved()) {
      *at = r->chain;
      r->not_done_yet = false;
      r->deliver();
    } else {
      at = &r->chain;
    }
  }
  for (u32 w = 0; w < region_.workers(); ++w) {
    std::atomic<u32>& head = region_.line(w).done_list;
    if (head.load(std::memory_order_relaxed) == 0) continue;
    // acquire: the links behind the head
    u32 entry = head.exchange(0, std::memory_order_acquire);
    // The links are bytes of the region: each is checked, and followed at most as often as there
    // are slots. Slots that are not in use have no record, or one that nobody refers to.
    task_record* first = nullptr;
    for (u32 n = 0; entry != 0 && entry <= shm::max_slots && n < shm::max_slots; ++n) {
      task_record* r = record_at(entry - 1);
      if (r == nullptr) break;
      entry = region_.at(entry - 1).next.load(std::memory_order_relaxed);
      if (r->references.load() == 0 || r->not_done_yet) continue;
      if (r->off_list.exchange(true))
        continue;  // twice on a list: somebody wrote where he must not
      // The list has the last one first, and they are told in the order in which they came.
      r->chain = std::exchange(first, r);
    }
    while (first != nullptr) {
      task_record* r = std::exchange(first, first->chain);
      if (r->resolved()) {
        r->deliver();
      } else {
        r->chain = std::exchange(not_done_yet_, r);
        r->not_done_yet = true;
      }
    }
  }
}

void pool::forget_not_done(task_record& r) noexcept {
  for (task_record** at = &not_done_yet_; *at != nullptr; at = &(*at)->chain) {
    if (*at != &r) continue;
    *at = r.chain;
    r.not_done_yet = false;
    return;
  }
}

// A worker that was stopped may hold the hints of tasks that others could run.
void pool::revive() noexcept {
  bool any = false;
  {
    const std::lock_guard lock(mutex_);
    const time_point now = std::chrono::steady_clock::now();
    if (now - last_revival_ < revival_pause) return;
    last_revival_ = now;
    const u64 head = region_.control().head.load();
    for (u32 i = 0; i < region_.allocated_slots(); ++i) {
      task_record& r = *record_at(i);
      u64 word = 0;
      if (!r.load(word) || shm::phase_of(word) != task_phase::ready) continue;
      if (r.hint_position.load(std::memory_order_relaxed) >= head) continue;
      put_hint(r);
      any = true;
    }
  }
  if (any) roster_.kick();
}

bool pool::anything_done() const noexcept {
  for (u32 w = 0; w < region_.workers(); ++w) {
    if (region_.line(w).done_list.load(std::memory_order_relaxed) != 0) return true;
  }
  return false;
}

const std::byte* pool::result_bytes(u64 word, u64 offset, u64 length) {
  const u64 arena = region_.arena_offset();
  if (offset < arena + sizeof(shm::block_header)) fail_damaged();
  const u64 p = region_.partition_of(offset);
  if (p == 0 || p >= partitions_.size()) fail_damaged();
  if (partitions_[p].seat.load(std::memory_order_acquire) != shm::worker_of(word)) fail_damaged();
  const u64 end = region_.partition(p) + region_.stride();
  if (length > end - offset || offset % shm::cache_line != 0) fail_damaged();
  // Past the end of the file there is nothing but SIGBUS.
  if (offset + length > known_size_.load(std::memory_order_relaxed)) {
    const u64 size = os::file_size(region_.fd());
    known_size_.store(size, std::memory_order_relaxed);
    if (offset + length > size) fail_damaged();
  }
  return view_.at(offset, length);
}

void pool::give_back_block(u64 word, u64 offset, u64 length) noexcept {
  try {
    result_bytes(word, offset, length);
    // It is ours until the next line, and the worker knows that such blocks have no pages.
    if (length > shm::most_kept_block) view_.give_pages_back(offset, length);
    // release: our reading before the worker's next writing
    view_.header(offset).in_use.store(0, std::memory_order_release);
  } catch (...) {
    // A damaged offset names no block that could be given back.
  }
}

}  // namespace procpool::parent
