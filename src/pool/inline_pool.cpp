#include "pool/inline_pool.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

#include "base/cycle_clock.hpp"
#include "futures/future_errors.hpp"
#include "futures/unobserved_error.hpp"
#include "objects/parent_registry.hpp"
#include "pool/task_record.hpp"
#include "procpool/detail/codec/heap_writer.hpp"
#include "procpool/detail/shared/noting_writer.hpp"
#include "procpool/detail/task/thunks.hpp"
#include "procpool/errors.hpp"
#include "procpool/outcome.hpp"
#include "wire/exception_codec.hpp"

namespace procpool::parent {
namespace {

constexpr std::int64_t no_worker = -1;

constinit thread_local bool in_a_task = false;

// In scope while a task, the initializer or the finalizer runs.
class task_scope {
 public:
  task_scope() { in_a_task = true; }
  ~task_scope() { in_a_task = false; }
  task_scope(const task_scope&) = delete;
  task_scope& operator=(const task_scope&) = delete;
};

void check_not_in_a_task() {
  if (!in_a_task) return;
  throw nested_use_error(
      "a task used an executor: in a worker this is not possible; return the data of further "
      "tasks to the caller, which submits them");
}

void encode_current_exception(detail::wire_writer& out) {
  wire::encode_exception(out, std::current_exception(), wire::origin::here(no_worker));
}

// The outcomes of a map's items. The outcome as a whole keeps the shared objects.
class items_writer final : public detail::chunk_run {
 public:
  items_writer(std::uint32_t count, object_refs& objects)
      : chunk_run(nullptr, nullptr, &grow, &write_exception, &note, &append), objects_(&objects) {
    count_ = count;
    begun_ = &begun_items_;
    progress_ = &finished_;
  }
  ~items_writer() { ::operator delete(begin_); }
  std::uint32_t finished() const { return detail::progress_finished(finished_.load()); }
  detail::wire_buffer take() const {
    const std::size_t bytes = std::size_t{detail::progress_units(finished_.load())} * 8;
    return {begin_, std::min(bytes, size())};
  }

 private:
  static void grow(wire_writer& base, std::size_t need) {
    static_cast<items_writer&>(base).grow_on_heap(need);
  }
  static void write_exception(chunk_run& base) { encode_current_exception(base); }
  static void note(wire_writer& base, const detail::shared_object& object) {
    static_cast<items_writer&>(base).objects_->push_back(object);
  }
  static detail::outcome_kind append(chunk_run&) { return detail::outcome_kind::value; }

  object_refs* objects_;
  std::atomic<std::uint32_t> begun_items_{0};
  std::atomic<std::uint64_t> finished_{0};
};

class inline_outcome final : public detail::local_task {
 public:
  inline_outcome(detail::error_handler on_error, std::uint32_t items, const task_options* o)
      : local_task(std::move(on_error)), items_(items), label_(o == nullptr ? "" : o->label) {}

  void run_task(const inline_pool::packed_task& task) {
    detail::noting_writer out;
    try {
      const auto thunk = reinterpret_cast<detail::task_thunk>(detail::from_code_ref(task.code));
      detail::wire_reader in(task.payload.data(), task.payload.size());
      thunk(in, out);
      objects_ = std::move(out.objects());
      bytes_ = out.take();
    } catch (...) {
      out.restart();
      encode_current_exception(out);
      detail::wire_reader in(out.data(), out.size());
      set_error(wire::decode_exception(in, label_));
    }
  }

  void run_chunk(const inline_pool::packed_task& task) {
    items_writer out(task.items, objects_);
    const std::uint64_t start = base::monotonic_ns();
    try {
      const auto thunk = reinterpret_cast<detail::chunk_thunk>(detail::from_code_ref(task.code));
      detail::wire_reader in(task.payload.data(), task.payload.size());
      thunk(in, out);
    } catch (...) {
      rest_ = std::current_exception();
    }
    const std::uint64_t ns = base::monotonic_ns() - start;
    elapsed_ns_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(ns, 1, UINT32_MAX));
    finished_ = out.finished();
    bytes_ = out.take();
  }

 protected:
  detail::outcome_view value() noexcept override { return {nullptr, bytes_.data(), bytes_.size()}; }
  std::uint32_t item_count() const noexcept override { return items_; }
  void items(std::vector<detail::outcome_run>& out) override {
    const auto add = [&out](const detail::outcome_run& run) { out.push_back(run); };
    if (finished_ != 0) split_items(bytes_.data(), bytes_.size(), finished_, label_, add);
    if (finished_ != items_) out.push_back({{rest_}, items_ - finished_});
  }

 private:
  const std::uint32_t items_;
  const std::string label_;
  object_refs objects_;
  detail::wire_buffer bytes_;
  std::uint32_t finished_ = 0;
  std::exception_ptr rest_;  // of the items that did not finish
};

}  // namespace

bool wants_inline() {
  const char* text = std::getenv("PROCPOOL_INLINE");
  return text != nullptr && std::string_view(text) == "1";
}

inline_pool::inline_pool(pool_options options, bool wanted)
    : options_(std::move(options)),
      wanted_(wanted),
      on_error_(std::make_shared<std::function<void(std::exception_ptr)>>(options_.on_error)) {}

void inline_pool::check_open() const {
  if (!broken_.empty()) throw broken_process_pool(broken_);
  if (stopping_) detail::throw_shut_down();
}

// Other threads that call it meanwhile wait for its end.
void inline_pool::initialize() {
  std::call_once(initialized_, [this] {
    std::string failure;
    try {
      options_.initializer();
    } catch (...) {
      failure =
          "the initializer of this pool failed: " + detail::describe(std::current_exception());
    }
    const base::lock_guard lock(mutex_);
    broken_ = failure;
    used_ = true;
  });
  const base::lock_guard lock(mutex_);
  if (!broken_.empty()) throw broken_process_pool(broken_);
}

// Counts as a running task, which shutdown waits for, and as an owner of the pool.
class inline_pool::run_scope {
 public:
  explicit run_scope(inline_pool& pool) : pool_(pool) {
    const base::lock_guard lock(pool_.mutex_);
    pool_.check_open();
    ++pool_.running_;
    pool_.retain();
  }
  ~run_scope() {
    {
      base::unique_lock lock(pool_.mutex_);
      --pool_.running_;
      pool_.done_ += done ? 1U : 0U;
      pool_.finalize(lock);
    }
    pool_.release();
  }
  run_scope(const run_scope&) = delete;
  run_scope& operator=(const run_scope&) = delete;
  bool done = false;

 private:
  inline_pool& pool_;
};

detail::state_ptr inline_pool::run(const packed_task& task) {
  check_not_in_a_task();
  if (wanted_ && task.options != nullptr && task.options->time_limit) {
    throw std::invalid_argument(
        "task_options::time_limit needs processes: a task that runs in its caller cannot be ended; "
        "use a process_pool_executor");
  }
  run_scope scope(*this);
  const task_scope like_a_worker;
  auto* const outcome = new inline_outcome(on_error_, task.items, task.options);
  detail::state_ptr owner(outcome);
  initialize();
  outcome->begin();
  if (task.items == 0) {
    outcome->run_task(task);
  } else {
    outcome->run_chunk(task);
  }
  outcome->finish();
  scope.done = true;
  return owner;
}

// Runs the finalizer if the pool is shut down and idle.
void inline_pool::finalize(std::unique_lock<std::mutex>& lock) noexcept {
  if (!stopping_ || running_ != 0) return;
  if (std::exchange(used_, false) && broken_.empty()) {
    ++running_;
    lock.unlock();
    try {
      const task_scope like_a_worker;
      options_.finalizer();
    } catch (...) {
      futures::report_unobserved(nullptr, std::current_exception());
    }
    lock.lock();
    --running_;
  }
  ended_.notify_all();
}

void inline_pool::shutdown(const shutdown_options& options) {
  check_not_in_a_task();
  base::unique_lock lock(mutex_);
  stopping_ = true;
  finalize(lock);
  const auto is_idle = [this] {
    base::assert_held(mutex_);
    return running_ == 0;
  };
  if (options.wait) ended_.wait(lock, is_idle);
}

void inline_pool::signal_workers(int) { shutdown({.wait = false}); }

void inline_pool::abandon(const shutdown_options& options) noexcept {
  // An executor made inside a task has run no task.
  if (!in_a_task) shutdown(options);
  release();
}

void inline_pool::release() noexcept {
  if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

pool_stats inline_pool::stats() {
  const base::lock_guard lock(mutex_);
  pool_stats out;
  out.running = running_;
  out.done = done_;
  return out;
}

std::optional<std::string> inline_pool::broken() {
  const base::lock_guard lock(mutex_);
  if (broken_.empty()) return std::nullopt;
  return broken_;
}

void inline_pool::wait_for_workers(const std::optional<duration>& /*timeout*/) {
  const base::lock_guard lock(mutex_);
  check_open();
}

}  // namespace procpool::parent
