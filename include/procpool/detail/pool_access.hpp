// What the executor's templates need of the compiled pool: pack a task, commit it, and the calls
// behind the executor's members. The pool itself is opaque here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "procpool/detail/code_ref.hpp"
#include "procpool/detail/task_state.hpp"
#include "procpool/detail/wire_io.hpp"
#include "procpool/options.hpp"
#include "procpool/stats.hpp"

namespace procpool::parent {
class pool;
}

namespace procpool::detail {

// The pool behind an executor; empty in a process that is not its parent, where use() throws
// nested_use_error.
class PROCPOOL_EXPORT pool_ref {
 public:
  // Outside of the parent nothing is started.
  explicit pool_ref(pool_options options);
  ~pool_ref();  // shutdown(), unless one with wait = false came before; cancels while unwinding
  pool_ref(const pool_ref&) = delete;
  pool_ref& operator=(const pool_ref&) = delete;

  parent::pool& use() const;
  int max_workers() const;
  void shutdown(const shutdown_options& options);
  void signal_workers(int signal);
  pool_stats stats() const;
  std::mutex& broadcasting() { return broadcasting_; }  // two at once would wait for each other

 private:
  parent::pool* pool_ = nullptr;
  int uncaught_ = 0;     // exceptions in flight when it was made
  bool let_go_ = false;  // shutdown({.wait = false}) was called
  std::mutex broadcasting_;
};

// Keeps a pool alive beyond its executor, for those who will submit more. After the executor is
// gone that throws shutdown_error.
class PROCPOOL_EXPORT pool_hold {
 public:
  explicit pool_hold(parent::pool& p) noexcept;
  ~pool_hold();
  pool_hold(const pool_hold&) = delete;
  pool_hold& operator=(const pool_hold&) = delete;
  parent::pool& get() const noexcept { return *pool_; }
  int max_workers() const noexcept;

 private:
  parent::pool* pool_;
};

// One task on its way in: write its payload here, then commit. One thread.
class PROCPOOL_EXPORT submission final : public wire_writer {
 public:
  explicit submission(parent::pool& p);
  ~submission();  // gives back what was not committed

  // Forgets what was written behind `to`.
  void rewind(std::size_t to) { cur_ = begin_ + to; }

  // The task belongs to the workers from here on; without options it has the defaults. Null if it
  // would have to wait and may not.
  state_ptr commit(code_ref code, const task_options* options, std::uint32_t items, bool may_wait);

 private:
  static void grow(wire_writer& self, std::size_t need);
  static void note(wire_writer& self, const shared_object& object);

  parent::pool* pool_;
  std::vector<shared_object>* objects_ = nullptr;  // that the payload names; usually none
  std::uint64_t offset_ = 0, capacity_ = 0;
  std::uint32_t size_class_ = 0;
  static constexpr std::size_t inline_bytes = 80;
  alignas(16) std::byte buffer_[inline_bytes];
};

}  // namespace procpool::detail
