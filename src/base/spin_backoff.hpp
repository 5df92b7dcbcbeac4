// Spinning before a sleep pays only where what is waited for comes soon. So it backs off: after k
// spins without success the next 2^k - 1 are skipped. For one thread.
#pragma once

namespace procpool::base {

class spin_backoff {
 public:
  // False: this spin is skipped. After true comes found() or failed().
  bool may_spin() noexcept {
    if (skip_ == 0) return true;
    --skip_;
    return false;
  }
  void found() noexcept { failed_ = failed_ > 1 ? failed_ - 2 : 0; }
  void failed() noexcept {
    if (failed_ < most_counted) ++failed_;
    skip_ = failed_ < 2 ? 0 : (1U << failed_) - 1;
  }

 private:
  static constexpr unsigned most_counted = 6;
  unsigned failed_ = 0, skip_ = 0;
};

}  // namespace procpool::base
