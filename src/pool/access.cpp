// The functions that the executor templates call: for the executor's pool, its owners besides the
// executor, and the submission of one task. Only this file decides whether tasks run in workers or
// in the inline pool.
#include "procpool/detail/executor/pool_access.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <utility>

#include "futures/future_errors.hpp"
#include "objects/parent_registry.hpp"
#include "pool/inline_pool.hpp"
#include "pool/pool.hpp"
#include "procpool/errors.hpp"
#include "runtime/process_role.hpp"

namespace procpool::detail {

owned_pool::owned_pool(pool_options options, run_in where) : uncaught_(std::uncaught_exceptions()) {
  // A static executor is constructed in fork servers and workers, too, where it does nothing.
  if (runtime::current_role() != runtime::process_role::parent) return;
  runtime::install_fork_handlers();
  if (where == run_in::caller || parent::wants_inline()) {
    target_.backend =
        new parent::inline_pool(parent::checked(std::move(options)), where == run_in::caller);
  } else {
    target_.pool = new parent::pool(std::move(options));
    target_.backend = target_.pool;
  }
}

owned_pool::owned_pool() : owned_pool(pool_options{}) {}
owned_pool::owned_pool(int max_workers) : owned_pool(pool_options{.max_workers = max_workers}) {}

owned_pool::~owned_pool() {
  // A forked copy of the process has neither the pool's threads nor its workers.
  if (target_.backend == nullptr || !target_.backend->is_here()) return;
  target_.backend->abandon(
      {.wait = !released_, .cancel_futures = std::uncaught_exceptions() > uncaught_});
}

task_target owned_pool::use() const {
  if (target_.backend == nullptr || !target_.backend->is_here()) [[unlikely]]
    throw_unusable(target_.backend != nullptr);
  return target_;
}

int owned_pool::max_workers() const { return use().backend->max_workers(); }

void owned_pool::shutdown(const shutdown_options& options) {
  released_ = !options.wait;
  use().backend->shutdown(options);
}

void owned_pool::signal_workers(int signal) { use().backend->signal_workers(signal); }
pool_stats owned_pool::stats() const { return use().backend->stats(); }
std::optional<std::string> owned_pool::broken() const { return use().backend->broken(); }
void owned_pool::wait_for_workers(const std::optional<duration>& timeout) const {
  use().backend->wait_for_workers(timeout);
}

pool_keepalive::pool_keepalive(task_target to) noexcept : target_(to) { target_.backend->retain(); }
pool_keepalive::~pool_keepalive() {
  if (target_.backend->is_here()) target_.backend->release();
}
int pool_keepalive::max_workers() const noexcept { return target_.backend->max_workers(); }

namespace {

void check(const task_options& o) {
  if (o.retries < 0) throw std::invalid_argument("task_options::retries must be at least 0");
  // Negated, so that it holds for NaN, too.
  if (o.time_limit && !(*o.time_limit > duration::zero())) {
    throw std::invalid_argument("task_options::time_limit must be more than 0");
  }
}

}  // namespace

submission::submission(task_target to)
    : wire_writer(buffer_, buffer_ + inline_bytes, &grow, &note), to_(to) {
  static_assert(inline_bytes == shm::inline_bytes);
}

submission::~submission() {
  delete objects_;
  if (offset_ != 0) to_.pool->release_block({offset_, capacity_, size_class_});
  if (to_.pool == nullptr && begin_ != buffer_) ::operator delete(begin_);
}

void submission::note(wire_writer& base, const shared_object& object) {
  auto& self = static_cast<submission&>(base);
  if (object.mapping()->owner != parent::parent_registry::existing()) {
    throw codec_error("this handle belongs to another process, and cannot be sent from here");
  }
  if (self.objects_ == nullptr) self.objects_ = new parent::object_refs;
  // Usually all items of a chunk name the same object.
  if (!self.objects_->empty() && self.objects_->back().mapping() == object.mapping()) return;
  self.objects_->push_back(object);
}

void submission::grow(wire_writer& base, std::size_t need) {
  auto& self = static_cast<submission&>(base);
  if (self.to_.pool == nullptr) {
    self.grow_on_heap(need, self.buffer_);
    return;
  }
  const std::size_t used = self.size();
  const std::size_t enough = self.offset_ == 0 ? used + need : std::max(used + need, 2 * used);
  const shm::block bigger = self.to_.pool->allocate_block(enough);
  std::byte* to = nullptr;
  try {
    to = self.to_.pool->address(bigger.offset, bigger.capacity);
  } catch (...) {
    self.to_.pool->release_block(bigger);
    throw;
  }
  std::memcpy(to, self.begin_, used);
  if (self.offset_ != 0) {
    self.to_.pool->release_block({self.offset_, self.capacity_, self.size_class_});
  }
  self.offset_ = bigger.offset;
  self.capacity_ = bigger.capacity;
  self.size_class_ = bigger.size_class;
  self.begin_ = to;
  self.cur_ = to + used;
  self.end_ = to + bigger.capacity;
}

state_ptr submission::run_here(code_ref code, const task_options* options, std::uint32_t items) {
  return static_cast<parent::inline_pool*>(to_.backend)
      ->run({code, {begin_, size()}, items, options});
}

state_ptr submission::commit(code_ref code, const task_options* options, std::uint32_t items,
                             bool may_wait) {
  if (options != nullptr) check(*options);
  if (to_.pool == nullptr) [[unlikely]]
    return run_here(code, options, items);
  // A chunk counts its progress in the slot's bytes, so its payload needs a block.
  if (items != 0 && offset_ == 0) grow(*this, 1);
  parent::task_image image;
  image.code = code.bits;
  image.inline_bytes = buffer_;
  image.length = size();
  image.block = {offset_, capacity_, size_class_};
  image.items = items;
  image.options = options;
  if (objects_ != nullptr) image.objects = &objects_;
  parent::task_record* r = to_.pool->commit(image, may_wait);
  if (r != nullptr) offset_ = 0;
  return state_ptr(r);
}

}  // namespace procpool::detail
