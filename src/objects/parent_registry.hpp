// The parent's side of shared objects: it counts references and finds which objects are free (see
// objects/object_table.hpp). A process has one registry, for all its pools and for handles made
// before the first pool.
//
// Any thread may call it. Its mutex is the innermost of all: it is taken under a pool's and under
// the hub's.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "base/guarded.hpp"
#include "base/per_process.hpp"
#include "objects/object_list.hpp"
#include "objects/object_table.hpp"
#include "os/event_fd.hpp"
#include "procpool/detail/shared/shared_object.hpp"
#include "procpool/detail/task/home_process.hpp"

namespace procpool::parent {

using object_refs = std::vector<detail::shared_object>;

class parent_registry final : public shm::object_registry {
 public:
  // One per process, never destroyed, since static handles outlive everything. Throws
  // std::system_error if it cannot be created.
  static parent_registry& instance();
  // Null if none was created: then no outcome can contain a handle of it.
  static parent_registry* existing() noexcept;
  // Whether the object exists, or existed when this process was forked, as far as is known.
  static bool may_live(const detail::object_ref& ref) noexcept;
  // Whether this process or one of its workers has ever made a shared object.
  static bool any_made() noexcept;

  detail::object_mapping* create(shm::u64 bytes) override;
  // For a handle in an outcome that was taken over, whose references keep the object meanwhile.
  detail::object_mapping* attach(const detail::object_ref& ref,
                                 detail::object_access access) override;
  void release(detail::object_mapping& mapping) noexcept override;
  detail::object_mapping* adopt(const detail::object_ref& ref) override;
  void check_sendable(const detail::object_mapping& mapping) override;

  // A row for a worker that is about to start; 0 if none is left: that worker can have no handles.
  shm::u32 acquire_row() noexcept;
  // Called once the row's worker is dead and the outcomes that it had published are taken over.
  void put_back_row(shm::u32 row) noexcept;

  // Takes the handles of one outcome over from the worker with this row: from here on `out` keeps
  // the objects. Throws std::bad_alloc; handles not taken over then are released with the worker.
  void take_over(shm::u32 row, const wire::object_list& list, object_refs& out);

  // collect() frees objects that only workers held: workers do not report when they release one.
  bool has_lingering() noexcept;
  void collect() noexcept;
  // A socket that is signalled when an object begins to linger: the thread that waits on it calls
  // collect() from time to time.
  void add_waker(os::wake_socket& waker);
  void remove_waker(os::wake_socket& waker) noexcept;

 private:
  struct own_mapping : detail::object_mapping {
    os::mapping memory;
  };
  struct entry {
    bool known = false;      // not free, as far as the parent knows
    bool lingering = false;  // in lingering_: the parent has no reference
    shm::u32 generation = 0;
    shm::u64 bytes = 0;
    std::unique_ptr<own_mapping> mapping;  // null: the parent has no reference
  };
  struct row_state {
    bool taken = false;
    os::mapping counts;
    shm::u32 pages = 0;  // bits: allocated by the parent itself
  };

  friend base::per_process<parent_registry>;
  parent_registry();
  ~parent_registry() = delete;
  shm::u32 claim() REQUIRES(mutex_);
  void grow_entries(shm::u32 ids) REQUIRES(mutex_);
  own_mapping& mapping_of(shm::u32 id) REQUIRES(mutex_);
  bool is_plausible(const detail::object_ref& ref) REQUIRES(mutex_);
  std::atomic<shm::u32>* count_of(shm::u32 row, shm::u32 id) noexcept REQUIRES(mutex_);
  bool anybody_holds(shm::u32 id) noexcept REQUIRES(mutex_);
  // USED -> FREEING; the caller calls finish_free() next, without the mutex.
  bool begin_free(shm::u32 id) noexcept REQUIRES(mutex_);
  void finish_free(shm::u32 id) noexcept;
  shm::u32 next_unreported(shm::u32 row, shm::u32 from) noexcept;

  const detail::home_process home_;
  base::mutex mutex_;
  std::vector<entry> entries_ GUARDED_BY(mutex_);   // by id
  std::vector<row_state> rows_ GUARDED_BY(mutex_);  // by row
  std::vector<shm::u32> taken_rows_ GUARDED_BY(mutex_);
  std::vector<os::wake_socket*> wakers_ GUARDED_BY(mutex_);
  std::vector<shm::u32> lingering_
      GUARDED_BY(mutex_);  // capacity for all entries; taken_rows_ likewise
};

// The pause until the next collect() while objects linger, by the pause before this one: it grows.
inline std::chrono::milliseconds next_collect_pause(std::chrono::milliseconds last) {
  constexpr std::chrono::milliseconds shortest{5}, longest{1000};
  return std::clamp(2 * last, shortest, longest);
}

// The rows of a pool's workers, by seat; 0 where there is none. The destructor puts the remaining
// rows back: by then no worker may live.
class worker_rows {
 public:
  explicit worker_rows(std::size_t seats) : rows_(seats) {}
  worker_rows(const worker_rows&) = delete;
  worker_rows& operator=(const worker_rows&) = delete;
  ~worker_rows();
  // 0 also for a seat that does not exist.
  shm::u32 of(shm::u32 seat) const { return seat < rows_.size() ? rows_[seat] : 0; }
  shm::u32 exchange(shm::u32 seat, shm::u32 row) { return std::exchange(rows_[seat], row); }

 private:
  std::vector<shm::u32> rows_;
};

}  // namespace procpool::parent
