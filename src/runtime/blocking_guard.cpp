#include "runtime/blocking_guard.hpp"

#include <utility>

namespace procpool::runtime {
namespace {

constinit thread_local thread_group* group_of_this_thread = nullptr;

}  // namespace

void enter_group(thread_group& group) noexcept { group_of_this_thread = &group; }
thread_group* current_group() noexcept { return group_of_this_thread; }

waiting_scope::waiting_scope(const awaited& what, bool for_ever) : what_(what) {
  thread_group* const group = group_of_this_thread;
  if (group != nullptr && for_ever && group->begin_waiting(*this)) group_ = group;
}

waiting_scope::~waiting_scope() {
  if (group_ != nullptr) group_->end_waiting(*this);
}

void waiting_threads::add(waiting_scope& scope) noexcept {
  scope.next_ = std::exchange(first_, &scope);
  ++count_;
}

void waiting_threads::remove(waiting_scope& scope) noexcept {
  waiting_scope** at = &first_;
  while (*at != &scope) at = &(*at)->next_;
  *at = scope.next_;
  --count_;
}

bool waiting_threads::all_depend_on(thread_group_id group) const noexcept {
  for (const waiting_scope* s = first_; s != nullptr; s = s->next_) {
    if (!s->what_.depends_on(group)) return false;
  }
  return true;
}

}  // namespace procpool::runtime
