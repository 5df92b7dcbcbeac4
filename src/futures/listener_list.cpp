#include <utility>

#include "procpool/detail/task/task_state.hpp"

namespace procpool::detail {

void listener_list::remove(subscription& s) noexcept {
  for (subscription** at = &first_; *at != nullptr; at = &(*at)->next) {
    if (*at == &s) {
      *at = s.next;
      s.state = nullptr;
      return;
    }
  }
}

void listener_list::deliver() noexcept {
  // The newest subscription is first in the list, and listeners are told in the order in which they
  // subscribed.
  subscription* oldest = nullptr;
  while (first_ != nullptr) {
    subscription* const s = first_;
    first_ = s->next;
    s->next = std::exchange(oldest, s);
  }
  while (oldest != nullptr) {
    subscription& s = *oldest;
    oldest = s.next;
    s.state = nullptr;
    s.listener->completed(s);
  }
}

}  // namespace procpool::detail
