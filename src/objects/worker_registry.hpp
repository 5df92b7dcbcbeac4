// A worker's side of shared objects: the objects that it was given or has made, counted in its own
// row (see objects/object_table.hpp). A range that was mapped once stays mapped for the next handle
// of that id, so that tasks over the same array cost neither a mapping nor page faults.
//
// Threads of a task may copy and drop handles; only the worker's own thread writes outcomes.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/guarded.hpp"
#include "objects/object_table.hpp"
#include "procpool/detail/codec/wire_io.hpp"
#include "procpool/detail/shared/shared_object.hpp"

namespace procpool::worker {

class worker_registry final : public shm::object_registry {
 public:
  // The registry of this worker. existing() is null in other processes, and before set_instance().
  static worker_registry& instance() noexcept { return *existing(); }
  static worker_registry* existing() noexcept;
  static void set_instance(worker_registry& registry) noexcept;

  // row 0: the parent had no row left, and creating or receiving a handle throws.
  worker_registry(int fd, shm::process_page& page, shm::u32 row)
      : object_registry(fd, page), row_(row) {}

  detail::object_mapping* create(shm::u64 bytes) override;
  detail::object_mapping* attach(const detail::object_ref& ref,
                                 detail::object_access access) override;
  void release(detail::object_mapping& mapping) noexcept override;
  detail::object_mapping* adopt(const detail::object_ref& ref) override;
  void check_sendable(const detail::object_mapping& mapping) override;

  // Records a handle written into the current outcome: the object is kept from now on.
  void note(const detail::shared_object& object);
  // Undoes note(): the outcome was not written after all.
  void forget_noted() noexcept;
  // Appends to the value the list that the parent takes over with it. Throws what the writer
  // throws; the noted objects stay noted then.
  void append_noted(detail::wire_writer& out);

 private:
  // One id as this process knows it. Its address never changes.
  struct place {
    struct own_mapping : detail::object_mapping {
      os::mapping memory;
      bool listed = false;  // in idle_
    };
    own_mapping mappings[2];  // by object_access
    shm::u32 generation = 0;
    shm::u32 noted = 0;      // handles in the current outcome
    bool made_here = false;  // and not named by any outcome yet
  };
  struct idle_mapping {
    shm::u32 id;
    unsigned access;
  };

  place& place_of(shm::u32 id) REQUIRES(mutex_);
  std::atomic<shm::u32>& count_of(shm::u32 id) REQUIRES(mutex_);
  void retain_count(shm::u32 id) REQUIRES(mutex_);
  void release_count(shm::u32 id) noexcept REQUIRES(mutex_);
  detail::object_mapping* begin_mapping(shm::u32 id, shm::u64 bytes, detail::object_access access)
      REQUIRES(mutex_);
  void map(place::own_mapping& mapping, shm::u32 id, shm::u64 bytes, detail::object_access access)
      REQUIRES(mutex_);
  void unmap_idle(std::size_t keep) noexcept REQUIRES(mutex_);
  void release_or_free(shm::u32 id) noexcept REQUIRES(mutex_);
  void free(shm::u32 id) noexcept REQUIRES(mutex_);

  base::mutex mutex_;
  shm::u32 row_;
  os::mapping counts_ GUARDED_BY(mutex_);
  shm::u32 pages_ GUARDED_BY(mutex_) = 0;  // bits: allocated pages of the row
  std::vector<std::unique_ptr<place>> places_ GUARDED_BY(mutex_);
  std::deque<idle_mapping> idle_ GUARDED_BY(mutex_);  // may contain mappings in use again
  std::vector<detail::object_ref> noted_;             // used by the worker's own thread only
};

}  // namespace procpool::worker
