// The parent's side of one pool.
//
// The files, in the order in which a task meets them:
//
//   access.cpp        the executor's pool, and the choice between workers and the inline pool
//   submit.cpp        submission: admission, record, slot, state word, hint, kick
//   slots.cpp         records and slots: free lists, growth, harvest
//   record_table.hpp  which record has which slot; records that are returned
//   hint_ring.cpp     the hints by which workers find tasks
//   await.cpp         waiting and results: spinning, sleeping, pinning, release
//   done_lists.cpp    completions that have a listener
//   outcome.cpp       reading an outcome: checks, decoding, return of its block
//   task_objects.cpp  shared objects that tasks and outcomes name
//
// and those for rarer events:
//
//   supervisor.cpp    one thread, asleep until a worker starts or dies, or the pool closes
//   staffing.cpp      what the pool does when a worker starts, dies, or has to be replaced
//   crew.cpp          the workers' seats: when to start a worker, what a death means
//   watch.cpp         which running tasks are over their time limits
//   partitions.cpp    the memory to which each worker writes large results
//   sweep.cpp         the state of the region after a worker has died
//   doubts.cpp        words that a task may have overwritten: detection, repair, loss
//   broadcast.cpp     a task for each worker, all at the same time
//   idle.cpp          workers that end for want of tasks, and return
//   readiness.cpp     waiting until all workers have started
//   backtrace.cpp     the names in the backtrace of a crash
//   pool.cpp          constructor, destructor, statistics, reports
//   shutdown.cpp      how a pool ends: shut down, broken, given up, abandoned
//
// `slot_store`, `hint_ring`, `crew`, `partitions` and `watch` are classes of their own. They have
// no mutex: the pool's members of these types are guarded by `mutex_`.
//
// Threads: any thread may submit, wait and cancel. `mutex_` guards the lists, the crew and all
// changes that are not one atomic operation on a state word; it is held for nanoseconds, never
// while user code runs. The winner of a CAS on a task's state word resolves the task.
//
// Lifetime: the executor owns the pool until its destructor; then the remaining futures do:
// abandon() counts them, and the last of them deletes the pool. Before that no future touches the
// count.
#pragma once

#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "base/cycle_clock.hpp"
#include "base/guarded.hpp"
#include "futures/completion_hub.hpp"
#include "launch/fork_server_client.hpp"
#include "os/event_fd.hpp"
#include "os/short_mutex.hpp"
#include "pool/crew.hpp"
#include "pool/hint_ring.hpp"
#include "pool/partitions.hpp"
#include "pool/slots.hpp"
#include "pool/stderr_relay.hpp"
#include "pool/task_backend.hpp"
#include "pool/task_record.hpp"
#include "pool/watch.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"
#include "shm/dispatch.hpp"
#include "shm/region.hpp"
#include "shm/worker_settings.hpp"

namespace procpool::testing {
class pool_test_access;  // lets a test run the sweep on states that a killed worker leaves
}

namespace procpool::parent {

using futures::completion_hub;

// A task to submit, as the template packed it.
struct task_image {
  shm::u64 code = 0;
  const std::byte* inline_bytes = nullptr;  // payload, if there is no block
  shm::u64 length = 0;
  shm::block block;
  std::uint32_t items = 0;
  const task_options* options = nullptr;  // null: the defaults
  object_refs** objects = nullptr;        // named by the payload; commit() takes them
};

// The options with defaults filled in. Throws std::invalid_argument, whose message names the
// option.
pool_options checked(pool_options options);

class pool final : public detail::completion_source, public task_backend {
 public:
  explicit pool(pool_options options);
  ~pool();

  // submit.cpp. commit() throws shutdown_error and broken_process_pool; it returns null if it would
  // have to wait and may not. On success the pool owns the image's block.
  task_record* commit(const task_image& image, bool may_wait);
  shm::block allocate_block(shm::u64 bytes);
  void release_block(shm::block b) noexcept;
  std::byte* address(shm::u64 offset, shm::u64 bytes) { return view_.at(offset, bytes); }

  // shutdown.cpp
  void shutdown(const shutdown_options& options) override;
  void signal_workers(int signal) override;
  void abandon(const shutdown_options& options) noexcept override;
  void retain() noexcept override { owners_.fetch_add(1, std::memory_order_relaxed); }

  // pool.cpp
  void forget() noexcept;
  int max_workers() const noexcept override { return static_cast<int>(region_.workers()); }
  pool_stats stats() override;
  std::optional<std::string> broken() override;
  void wait_for_workers(const std::optional<duration>& timeout) override;
  void report(std::exception_ptr e) noexcept;
  // At exit: remaining tasks run (or are cancelled), and the workers end.
  static void finish_all(bool cancel) noexcept;

  // For broadcast.cpp.
  std::mutex& broadcasting() noexcept { return broadcasting_; }
  // As crew::start_error(), which needs no mutex.
  int start_error() const noexcept NO_THREAD_SAFETY_ANALYSIS { return crew_.start_error(); }

  // For records: await.cpp, outcome.cpp, task_objects.cpp, sweep.cpp, doubts.cpp.

  // Returns the record to the pool.
  void put_back(task_record& r) noexcept {
    if (!returned_.push(r)) release();  // abandoned: the record was one of the pool's owners
  }
  void drop(task_record& r) noexcept;  // its future is destroyed before the task is done
  // Bytes at an offset that a worker stored. Throws codec_error if they do not lie in its
  // partition, and std::system_error if they cannot be mapped.
  //
  // Any thread, without the mutex: partitions::is_of() needs none.
  std::byte* result_bytes(shm::u64 word, shm::u64 offset,
                          shm::u64 length) NO_THREAD_SAFETY_ANALYSIS;
  // The same for an outcome that is DONE: checks that the block is in use.
  const std::byte* published_bytes(shm::u64 word, shm::u64 offset, shm::u64 length);
  void put_back_block(shm::u64 word, shm::u64 offset) noexcept;
  void kill_worker_of(task_record& r, shm::u64 word) noexcept;
  bool take_over_kill(task_record& r) noexcept;
  // Once for each outcome that names shared objects, before it is read or released.
  void take_over_objects(task_record& r, shm::u64 word);
  std::unique_ptr<object_refs> release_outcome_objects(task_record& r) noexcept;
  // Under the mutex: copies the outcomes of the items [r.first_item, finished); an empty piece if
  // there are none. Throws codec_error if the stored offset or length is impossible,
  // std::bad_alloc, and std::system_error.
  chunk_piece copy_items(task_record& r, shm::u64 word, shm::u64 progress);
  // After the parent has resolved a task: wakes its waiters and notifies its listeners.
  void announce(task_record& r) noexcept;
  // After a long wait without a wake-up. A stopped worker may have taken the hint: puts a second
  // one. A task may have overwritten the word: resolves the task with an error.
  void look_after(task_record& r) noexcept;
  // Prefetches a slot that follows this one: results are usually read in the order of submission.
  void prefetch_behind(const task_record& r) const noexcept;
  shm::u64 behind(const task_record& r) const noexcept;
  std::chrono::nanoseconds pause_for_backlog() const noexcept override;
  bool cpus_saturated() const noexcept override;
  void dropped_one() noexcept { dropped_.fetch_sub(1, std::memory_order_relaxed); }

  // completion_source
  void drain() noexcept override;
  bool anything_done() const noexcept override;
  void requeue_stale_hints() noexcept override;
  bool try_retain() noexcept override;  // false: the pool is being deleted
  void release() noexcept override;

 private:
  friend class procpool::testing::pool_test_access;

  // submit.cpp. Those with a `lock` of mutex_ may unlock it while they wait.
  bool admit_slow(std::unique_lock<os::short_mutex>& lock, shm::u64 bytes, bool may_wait)
      REQUIRES(mutex_);
  task_record* take_free(std::unique_lock<os::short_mutex>& lock, bool may_wait) REQUIRES(mutex_);
  void check_open() const REQUIRES(mutex_);
  bool admit(std::unique_lock<os::short_mutex>& lock, shm::u64 bytes, bool may_wait)
      REQUIRES(mutex_);
  static void make_extras(task_record& r, const task_options& o, const task_image& image);
  void fill(task_record& r, const task_image& image) noexcept REQUIRES(mutex_);
  void make_ready(task_record& r, std::uint16_t traits) REQUIRES(mutex_);
  // For a task with options, instead of fill() and make_ready(). If it throws, nothing has
  // happened.
  [[gnu::noinline]] void fill_with_options(task_record& r, const task_image& image)
      REQUIRES(mutex_);
  void kick() noexcept;

  // supervisor.cpp
  void wake_supervisor() noexcept;
  std::unique_ptr<launch::fork_server_client> start_server();
  void supervise();
  std::chrono::milliseconds next_timeout();
  bool handle_events();
  void trim_blocks();
  void look_at_limits() noexcept;
  void end_overrun(task_record& r, shm::u64 word) noexcept REQUIRES(mutex_);
  void handle(const launch::server_event& e) noexcept;
  bool has_descriptors() const noexcept;
  // Unlocks `lock`, of mutex_, while a server starts.
  void on_server_gone(std::unique_lock<os::short_mutex>& lock) noexcept REQUIRES(mutex_);

  // idle.cpp
  shm::u64 waiting_hints() const noexcept;
  void dismiss_idle() noexcept REQUIRES(mutex_);
  void recall_workers(bool all) noexcept REQUIRES(mutex_);

  // staffing.cpp
  bool may_start() const REQUIRES(mutex_);
  void start_wanted() REQUIRES(mutex_);
  void start_seat(shm::u32 index) REQUIRES(mutex_);
  shm::u64 take_partition(shm::u32 seat_index) noexcept REQUIRES(mutex_);  // 0: none is free
  // Moves outcomes in partitions of dead workers to private memory, or gives them up.
  void clear_partitions() noexcept REQUIRES(mutex_);
  void on_started(const launch::server_event& e) REQUIRES(mutex_);
  void on_exited(const launch::server_event& e) noexcept REQUIRES(mutex_);
  void on_start_failed(const launch::server_event& e) noexcept REQUIRES(mutex_);
  std::size_t vacate(shm::u32 index, std::size_t most_tasks) noexcept REQUIRES(mutex_);
  void judge(const worker_death& d, bool progress) noexcept REQUIRES(mutex_);

  // done_lists.cpp, under the hub's mutex
  void forget_not_done(task_record& r) noexcept;

  // task_objects.cpp
  void take_over_outcome(task_record& r, shm::u64 word) REQUIRES(objects_mutex_);
  void take_over_items(task_record& r, shm::u32 row, const std::byte* data, std::size_t size,
                       std::uint32_t items) REQUIRES(objects_mutex_);
  void take_over_piece(task_record& r, shm::u64 word, const chunk_piece& piece);
  shm::u32 take_row(shm::u32 seat_index);
  void release_row(shm::u32 seat_index) noexcept;
  void look_after_objects() noexcept;

  // sweep.cpp. None of these functions needs memory: if it runs out, the outcome that needed some
  // is out_of_memory_.
  bool sweep(shm::u32 index, const worker_death& d) noexcept REQUIRES(mutex_);
  void keep_outcome(task_record& r, shm::u64 word) noexcept REQUIRES(mutex_);
  void crash(task_record& r, shm::u64 word, const worker_death& d) noexcept REQUIRES(mutex_);
  void crash_item(task_record& r, shm::u64 word, const worker_death& d) noexcept REQUIRES(mutex_);
  void settle_item(task_record& r, task_extras& more, const worker_death& d) noexcept
      REQUIRES(mutex_);
  void settle_finished(task_record& r, shm::u64 word, shm::u64 progress) noexcept REQUIRES(mutex_);
  void requeue(task_record& r, shm::u64 word) noexcept REQUIRES(mutex_);
  void resolve_killed(task_record& r, shm::u64 word) noexcept REQUIRES(mutex_);
  void resolve_with(task_record& r, shm::u64 word, std::exception_ptr e) noexcept REQUIRES(mutex_);
  death_record describe(task_record& r, const worker_death& d, int attempt) const noexcept
      REQUIRES(mutex_);
  std::exception_ptr crash_error(const death_record& record) const noexcept;

  // doubts.cpp
  bool is_possible(const task_record& r, shm::u64 word) const noexcept REQUIRES(mutex_);
  bool runs_elsewhere(task_record& r, shm::u64 word) const noexcept REQUIRES(mutex_);
  bool look_at(task_record& r) noexcept REQUIRES(mutex_);
  void lose(task_record& r, std::exception_ptr e) noexcept REQUIRES(mutex_);
  void deliver_lost() noexcept REQUIRES(mutex_);
  std::exception_ptr damage_error() const noexcept;

  // shutdown.cpp
  bool wait_until_drained(const time_point* deadline);
  task_record* first_unresolved(shm::u32& from) REQUIRES(mutex_);
  void cancel_pending() REQUIRES(mutex_);
  void doom(int signal) REQUIRES(mutex_);
  // Resolves every task now, whatever the workers do, and breaks the pool. No memory that a worker
  // may still write to is used again.
  void give_up(const char* cause) noexcept REQUIRES(mutex_);
  void give_up_in_time() noexcept REQUIRES(mutex_);
  template <class Text>
  void break_pool(Text cause) noexcept REQUIRES(mutex_);
  void break_pool_with(std::string cause) noexcept REQUIRES(mutex_);
  bool wind_down() REQUIRES(mutex_);
  bool stopped_by_force() const REQUIRES(mutex_) { return doomed_with_ != 0 || !broken_.empty(); }

  // pool.cpp
  void note_death(const death_record& r) noexcept REQUIRES(mutex_);
  void send_reports();
  // By the constructor, before any other thread knows the pool: without the mutex.
  void set_hook(const invocation& hook, shm::u64& code, shm::u64& block,
                shm::u64& length) NO_THREAD_SAFETY_ANALYSIS;
  void store(const detail::wire_buffer& bytes, shm::u64& block,
             shm::u64& length) NO_THREAD_SAFETY_ANALYSIS;

  task_record* record_at(shm::u32 index) const noexcept { return table_.at(index); }

  const pool_options options_;
  shm::region region_;
  shm::arena_view view_;
  shm::roster roster_;
  const shm::u32 cpus_;
  stderr_relay stderr_;
  worker_rows rows_ GUARDED_BY(objects_mutex_);  // outlives the workers, which end with the server
  shm::variables environment_;  // of the workers, where it differs from that of this process
  std::unique_ptr<launch::fork_server_client> server_;

  // Any thread:
  record_table table_;
  returned_list returned_;
  // Allocated in advance, for outcomes that cannot be allocated.
  const std::exception_ptr out_of_memory_ = std::make_exception_ptr(std::bad_alloc());

  mutable os::short_mutex mutex_;
  shm::block_allocator blocks_ GUARDED_BY(mutex_);
  slot_store slots_ GUARDED_BY(mutex_){
      *this, {region_, view_, blocks_, table_, returned_, out_of_memory_}};
  hint_ring hints_ GUARDED_BY(mutex_){region_, roster_, table_};
  bool trims_ GUARDED_BY(mutex_) = false;  // large blocks exist, to be trimmed
  time_point trim_at_ GUARDED_BY(mutex_);  // the time of the next trim
  static constexpr std::chrono::seconds trim_pause{1};
  crew crew_ GUARDED_BY(mutex_){region_, server_, static_cast<bool>(options_.initializer)};
  partitions partitions_ GUARDED_BY(mutex_){region_, table_};
  watch watch_ GUARDED_BY(mutex_){region_, table_};
  shm::u64 pending_bytes_ GUARDED_BY(mutex_) = 0;  // an upper bound; recounted above the budget
  std::string broken_ GUARDED_BY(mutex_);          // the cause; empty: not broken
  bool stopping_ GUARDED_BY(mutex_) = false;       // shutdown has begun: no task is accepted
  bool drained_ GUARDED_BY(mutex_) = false;        // all tasks are resolved: the workers may end
  // Since stopping_ was set: the slots below hold no unresolved task.
  shm::u32 drained_to_ GUARDED_BY(mutex_) = 0;
  int doomed_with_ GUARDED_BY(mutex_) = 0;  // signal of terminate_workers or kill_workers
  // Set when all workers were killed, or the descriptors are gone: the time to give up, even
  // without proof of death.
  std::optional<time_point> give_up_at_ GUARDED_BY(mutex_);
  bool given_up_ GUARDED_BY(mutex_) = false;
  // When idle workers that have not exited get SIGCONT.
  time_point nudge_at_ GUARDED_BY(mutex_){};
  time_point last_requeue_ GUARDED_BY(mutex_){};
  std::size_t submitted_ GUARDED_BY(mutex_) = 0;
  std::size_t crashed_ GUARDED_BY(mutex_) = 0;
  bool exit_hook_set_ GUARDED_BY(mutex_) = false;
  // Submit has nothing to check: the pool is open and has no budget, and the exit hook is set.
  bool fast_path_ GUARDED_BY(mutex_) = false;
  std::condition_variable_any staffed_cv_;  // a worker has started, or died, or the pool is broken
  std::condition_variable_any ended_cv_;
  bool ended_ GUARDED_BY(mutex_) = false;      // the supervisor is done, no process is left
  bool abandoned_ GUARDED_BY(mutex_) = false;  // the executor is destroyed
  bool server_lost_ = false;                   // changed and read by the supervisor only
  std::vector<death_record> reports_ GUARDED_BY(mutex_);  // for on_worker_death

  // Owners of the pool: the executor counts as `executor_share` until abandon() replaces that by
  // the number of records in use and the supervisor, so the count cannot reach 0 before.
  static constexpr std::int64_t executor_share = std::int64_t{1} << 40U;
  std::atomic<std::int64_t> owners_{executor_share};
  std::atomic<std::size_t> dropped_{0};
  std::atomic<shm::u64> known_size_{0};  // a lower bound of the size of the region's file

  // Guards task_record::outcome_objects. May be taken under mutex_ and under the hub's mutex.
  base::mutex objects_mutex_;
  std::chrono::milliseconds linger_pause_{0};  // used by the supervisor; 0: nothing lingers
  // Held by the caller of a broadcast, before all other mutexes.
  std::mutex broadcasting_;

  // Under the hub's mutex:
  task_record* not_done_yet_ = nullptr;  // tasks pushed on a done-list before their word said DONE

  // Made after the fork of the server, which would inherit it.
  std::optional<os::wake_socket> wake_;
  std::thread supervisor_;
};

template <class Text>
void pool::break_pool(Text cause) noexcept {
  try {
    break_pool_with(cause());
  } catch (const std::bad_alloc&) {
    break_pool_with("out of memory");  // short enough to need no memory
  }
}

}  // namespace procpool::parent
