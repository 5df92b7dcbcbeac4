// What the parent knows of one task, in private memory: everything that decides about its future.
// The region holds the task's state word and bytes; a record checks them before it believes them.
//
//   free -> in use (submit) -> resolved (the word says so) -> free (the future is gone)
//
// A record keeps its slot when it goes back to the free list, so that the usual submit finds it in
// place. Under pressure the pool harvests: it copies a
// finished outcome here, and gives the slot to another record.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "objects/parent_registry.hpp"
#include "procpool/detail/task/task_state.hpp"
#include "shm/blocks.hpp"
#include "shm/layout.hpp"

namespace procpool::parent {

inline time_point now() { return std::chrono::steady_clock::now(); }

class pool;

// task_record::pins counts who reads the outcome where it lies; these mark that it moves instead.
inline constexpr std::uint32_t harvesting = 1U << 30U;  // being copied to private memory
inline constexpr std::uint32_t harvested = 1U << 31U;   // in `saved` or `pieces`; no slot any more

// A stretch of items of a chunk that ended when a worker died: copied out of its partition.
struct chunk_piece {
  std::uint32_t items = 0;
  std::vector<std::byte> outcomes;
  std::exception_ptr error;  // of all of them, instead of bytes
};

// What few tasks need.
struct task_extras {
  std::string label;
  int retries = 0;
  int attempt = 1;  // of the task, or of the item `attempted`
  std::uint32_t attempted = 0;
  std::vector<std::byte> inline_payload;  // kept for a retry: the outcome is written over it
  std::vector<chunk_piece> pieces;
};

inline constexpr char damaged_text[] =
    "the outcome of this task was damaged in shared memory: a task wrote where it must not";

using run_sink = std::function<void(const detail::outcome_run&)>;

// An outcome as it lies there: a value, an exception that is still encoded, or an error.
struct raw_outcome {
  std::exception_ptr error;
  const std::byte* data = nullptr;
  std::size_t size = 0;
  bool is_exception = false;
};

class task_record final : public detail::task_state {
 public:
  explicit task_record(pool& p) : owner(&p) {}

  detail::task_status status() const override;
  bool wait_until(const time_point* deadline) override;
  detail::outcome_view wait_and_pin() override;
  detail::outcome_view pin() override;
  void unpin() noexcept override;
  void pin_items(std::vector<detail::outcome_run>& out) override;
  std::uint32_t elapsed_ns() const noexcept override;
  bool cancel(bool kill_running) override;
  void subscribe(detail::subscription& s) override;
  void unsubscribe(detail::subscription& s) noexcept override;
  void retain() noexcept override { references.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override;
  void report(std::exception_ptr e) noexcept override;

  bool resolved() const noexcept;
  // The word of this record's task; empty once it is harvested.
  bool load(shm::u64& word) const noexcept;
  // Sets a flag unless the task is resolved; false if it is.
  bool set_flag(shm::u64 flag) noexcept;
  // Under the hub's mutex: tells all listeners.
  void deliver() noexcept;
  // Resolved: the outcome where it lies, checked against private tables. The second one decodes
  // an exception, which runs code of the user.
  raw_outcome find_outcome(shm::u64 word);
  detail::outcome_view read_outcome(shm::u64 word);
  void read_pieces(const run_sink& out) const;
  void read_items(shm::u64 word, const run_sink& out);
  std::exception_ptr error_of_rest() const;
  // Resolved by DONE: its outcome lies there, and shared objects are named in it.
  bool names_objects(shm::u64 word) const noexcept;
  // Whoever waits for what they name hears now that it will not come. Once for each task: the
  // second call does nothing.
  void drop_argument_objects() noexcept;
  bool has_block() const noexcept;
  // The worker may use the block of the result again.
  void put_back_result() noexcept;
  // Resolved: no worker's list leads to the slot any more. Takes the hub's mutex if it must.
  void leave_list(shm::u64 word) noexcept;
  task_extras& more() {
    if (!extras) extras = std::make_unique<task_extras>();
    return *extras;
  }
  std::string_view label() const { return extras ? std::string_view(extras->label) : ""; }

  // Constant once made.
  pool* const owner;

  // By the pool, under its mutex, while the record is free or being swept.
  shm::u32 index = 0;       // of the slot
  shm::u64 generation = 0;  // in place, as in the state word
  std::atomic<shm::u64> hint_position{0};
  shm::block arguments;        // given back with the record
  shm::u64 payload_block = 0;  // 0: the payload was inline
  shm::u64 payload_length = 0;
  std::uint32_t items = 0;  // of a chunk; 0: a plain task
  // Of a chunk: the items before it are settled; its worker has begun with this one.
  std::uint32_t first_item = 0;
  std::unique_ptr<task_extras> extras;
  // The shared objects that the arguments name: set by submit, taken once, by whoever ends the
  // task. Null for most tasks.
  std::atomic<object_refs*> argument_objects{nullptr};
  // And those of the outcome: under the pool's objects_mutex_, if names_objects().
  std::unique_ptr<object_refs> outcome_objects;
  shm::u64 objects_of = ~shm::u64{0};  // the generation whose outcome was taken over

  std::atomic<shm::slot*> slot{nullptr};
  std::atomic<std::uint32_t> pins{0};
  std::atomic<std::uint32_t> references{1};  // 0 while the record is free
  // Set by the sweep before the word says CRASHED, and by a harvest.
  std::exception_ptr error;
  // What the word does not say: its worker was killed for it, or it is harvested.
  std::atomic<bool> was_cancelled{false};
  std::vector<std::byte> saved;  // harvested value or exception
  bool saved_exception = false;

  // Under the hub's mutex.
  detail::listener_list listeners;
  bool dropped = false;  // nobody will ask: free it when it is done
  // Taken from its worker's done-list. Until then the slot is a link of that list and may not be
  // used again, or the list would lose what comes behind it.
  std::atomic<bool> off_list{false};
  task_record* chain = nullptr;  // on a list of the hub's
  bool not_done_yet = false;     // that list is pool::not_done_yet_

  task_record* next = nullptr;  // on a free list
  // Its word made no sense when its future went: a worker may still be at work on the slot.
  bool damaged = false;

  // By the pool, under its mutex, when it doubts that the worker in the word runs the task: the
  // word as it was, and how many tasks that worker had done.
  shm::u64 doubted_word = 0;
  shm::u64 doubted_tasks = 0;
  // Under the pool's mutex: how many workers have died with the task of that generation claimed and
  // not started.
  shm::u64 died_before_start = 0;
  std::uint32_t deaths_before_start = 0;

 private:
  // Counts a reader; true if the outcome is in private memory. Waits while it is being moved there.
  bool add_pin() noexcept;
  bool rest(std::chrono::nanoseconds pause, const time_point* deadline) noexcept;
  detail::outcome_view pin_slow(bool is_saved);
  void finish_release() noexcept;
  void drop_outcome_objects(shm::u64 word) noexcept;
};

// The outcomes of `items` items that lie one after the other in `data`. Throws codec_error at the
// first whose bytes make no sense; what lies behind it cannot be read, either.
void split_items(const std::byte* data, std::size_t size, std::uint32_t items,
                 const std::string& label, const run_sink& out);

}  // namespace procpool::parent
