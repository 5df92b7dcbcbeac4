// What the parent knows of one task, in private memory: everything that determines the result of
// its future. The region holds the task's state word and bytes; a record checks both before it uses
// them.
//
//   free -> pending (submit) -> in place (by the state word) -> returned (the future is destroyed)
//        -> free (slot_store::collect_returned)
//   in place -> moving -> moved (a harvest, or a sweep) -> returned -> slotless
//
// A record keeps its slot when it returns to the free list, so that the usual submit finds a record
// with a slot. When all slots are taken, the pool harvests: it copies a finished outcome into its
// record and gives the slot to another record.
//
// Which values of the fields go together (`word` is the state word of `slot`, r the number of
// threads that read the outcome):
//
//   state    | references | slot | word                   | pins           | the outcome is in
//   ---------+------------+------+------------------------+----------------+---------------------
//   free     | 0          | yes  | FREE, or of the        | 0              |
//            |            |      | former task            |                |
//   slotless | 0          | null |                        | 0              |
//   pending  | 1 or more  | yes  | READY, CLAIMED, KILL   | r              | `pieces`, up to
//            |            |      |                        |                | `first_item`
//   in place | 1 or more  | yes  | DONE                   | r              | slot or block
//            |            |      | CRASHED                | r              | `error`
//            |            |      | CANCELLED              | r              |
//   moving   | 1 or more  | yes  | DONE, CRASHED,         | harvesting + r | as above; r threads
//            |            |      | CANCELLED              |                | wait for the copy
//   moved    | 1 or more  | null |                        | harvested + r  | `saved` or `error`;
//            |            |      |                        |                | chunk: `pieces` and
//            |            |      |                        |                | `error` for the rest
//   returned | 0          | yes  | of the former task     | 0              |
//            |            | null |                        | 0              |
//
// "In use" is pending, in place, moving or moved. A task whose word is impossible (doubts.cpp) goes
// through moving to moved, with `error`, and its slot is abandoned.
//
//   arguments         not free, not slotless: collect_returned() frees them at the latest
//   argument_objects  in use
//   outcome_objects   in place with DONE, moving or moved; of a chunk also pending
//   saved_exception   moved: `saved` is an encoded exception
//   was_cancelled     in place with CRASHED, or moved; pending for a moment, after KILL
//   dropped           in use, references 1: the future is destroyed
//   not_done_yet      in use and off_list; `chain` is a link
//   damaged           returned: the word was impossible
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
#include "wire/chunk_outcomes.hpp"

namespace procpool::parent {

inline time_point now() { return std::chrono::steady_clock::now(); }

class pool;

// task_record::pins counts the readers of the outcome in place; these bits mark that the outcome
// moves.
inline constexpr std::uint32_t harvesting = 1U << 30U;  // being copied to private memory
inline constexpr std::uint32_t harvested = 1U << 31U;  // now in `saved` or `pieces`; without a slot

// Consecutive items of a chunk whose worker died: their outcomes, copied out of its partition.
struct chunk_piece {
  std::uint32_t items = 0;
  std::vector<std::byte> outcomes;
  std::exception_ptr error;  // of all items, instead of bytes
};

// Data that few tasks need.
struct task_extras {
  std::string label;
  int retries = 0;
  int attempt = 1;  // of the task, or of the item `attempted`
  std::uint32_t attempted = 0;
  // A payload in the slot, kept for a retry: the outcome is written over it. In whole words.
  std::size_t kept_bytes = 0;
  std::byte kept[shm::inline_bytes];
  std::vector<chunk_piece> pieces;
};

using wire::damaged_text;

using run_sink = std::function<void(const detail::outcome_run&)>;

// An outcome in place: a value, an exception that is still encoded, or an error.
struct raw_outcome {
  std::exception_ptr error;
  const std::byte* data = nullptr;
  std::size_t size = 0;
  bool is_exception = false;
};

// No task has it: the low bits of a generation are 0.
inline constexpr shm::u64 no_generation = ~shm::u64{0};

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
  bool failed() const noexcept override;
  void retain() noexcept override { references.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept override;
  void report(std::exception_ptr e) noexcept override;

  bool resolved() const noexcept;
  // Loads the state word; false once the task is harvested or the word is another task's.
  bool load(shm::u64& word) const noexcept;
  // Sets a flag; false if the task is already resolved.
  bool set_flag(shm::u64 flag) noexcept;
  // Under the hub's mutex: notifies all listeners.
  void deliver() noexcept;
  // Of a resolved task: the outcome in place, checked against private tables. read_outcome() also
  // decodes an exception, which runs user code.
  raw_outcome find_outcome(shm::u64 word);
  detail::outcome_view read_outcome(shm::u64 word);
  void read_pieces(const run_sink& out) const;
  void read_items(shm::u64 word, const run_sink& out);
  std::exception_ptr error_of_rest() const;
  // True if the task is DONE and its outcome, in place, names shared objects.
  bool names_objects(shm::u64 word) const noexcept;
  // Releases the shared objects of the arguments: other users of the objects learn now that the
  // task will not come. Once for each task; a second call does nothing.
  void drop_argument_objects() noexcept;
  bool has_block() const noexcept;
  // Gives the result's block back to the worker.
  void put_back_result() noexcept;
  // Of a resolved task: takes the slot off its worker's done-list. Takes the hub's mutex if
  // necessary.
  void leave_list(shm::u64 word) noexcept;
  task_extras& more() {
    if (!extras) extras = spare_extras ? std::move(spare_extras) : std::make_unique<task_extras>();
    return *extras;
  }
  std::string_view label() const { return extras ? std::string_view(extras->label) : ""; }

  // Constant once made.
  pool* const owner;

  // Changed by the pool, under its mutex, while the record is free or being swept.
  shm::u32 index = 0;       // of the slot
  shm::u64 generation = 0;  // shifted as in the state word
  std::atomic<shm::u64> hint_position{0};
  shm::block arguments;        // freed with the record
  shm::u64 payload_block = 0;  // 0: the payload was inline
  shm::u64 payload_length = 0;
  std::uint32_t items = 0;  // of a chunk; 0: a plain task
  // Of a chunk: the first item that is not settled, with which its worker has begun.
  std::uint32_t first_item = 0;
  std::unique_ptr<task_extras> extras;
  std::unique_ptr<task_extras> spare_extras;  // of an earlier task, cleared: saves allocations
  // The shared objects that the arguments name: set by submit, taken once, by the thread that ends
  // the task. Null for most tasks.
  std::atomic<object_refs*> argument_objects{nullptr};
  // The shared objects of the outcome, if names_objects(): under the pool's objects_mutex_.
  std::unique_ptr<object_refs> outcome_objects;
  shm::u64 objects_of = ~shm::u64{0};  // the generation whose outcome was taken over

  std::atomic<shm::slot*> slot{nullptr};
  std::atomic<std::uint32_t> pins{0};
  std::atomic<std::uint32_t> references{1};  // 0 while the record is free
  // Set before the word becomes CRASHED, and when the outcome is moved.
  std::exception_ptr error;
  // Cancelled although the word does not tell: its worker was killed, or the task is harvested.
  std::atomic<bool> was_cancelled{false};
  std::vector<std::byte> saved;  // harvested value or exception
  bool saved_exception = false;

  // Under the hub's mutex.
  detail::listener_list listeners;
  bool dropped = false;  // without a future: freed when the task is done
  // Taken from its worker's done-list. Until then the slot is a link of that list; reuse of the
  // slot would cut off the rest of the list.
  std::atomic<bool> off_list{false};
  task_record* chain = nullptr;  // link of a list under the hub's mutex
  bool not_done_yet = false;     // that list is pool::not_done_yet_

  task_record* next = nullptr;  // on a free list
  // The word was impossible when the future was destroyed: a worker may still use the slot.
  bool damaged = false;

  // Set by the pool, under its mutex, when it doubts that the worker in the word runs the task: the
  // word and that worker's count of tasks at that time.
  shm::u64 doubted_word = 0;
  shm::u64 doubted_tasks = 0;
  // Under the pool's mutex: the generation whose task has a time limit, and that limit.
  shm::u64 limited = no_generation;
  duration time_limit{};
  // The generation whose worker is killed, or about to be, since the limit is over: KILL in the
  // word then is no cancellation. Changed under the pool's mutex.
  std::atomic<shm::u64> overrun{no_generation};
  // Under the pool's mutex: how many workers have died with the task of generation
  // `died_before_start` claimed and not started.
  shm::u64 died_before_start = 0;
  std::uint32_t deaths_before_start = 0;

 private:
  // Counts a reader; true if the outcome is in private memory. Waits while another thread moves it
  // there.
  bool add_pin() noexcept;
  bool rest(std::chrono::nanoseconds pause, const time_point* deadline) noexcept;
  detail::outcome_view pin_slow(bool is_saved);
  void finish_release() noexcept;
  void shelve_extras() noexcept;
  void drop_outcome_objects(shm::u64 word) noexcept;
};

// Splits `data` into the outcomes of `items` consecutive items. Throws codec_error at the first
// with impossible bytes; the outcomes after it are unreadable, too.
void split_items(const std::byte* data, std::size_t size, std::uint32_t items,
                 const std::string& label, const run_sink& out);

}  // namespace procpool::parent
