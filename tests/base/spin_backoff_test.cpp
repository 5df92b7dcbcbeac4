#include "base/spin_backoff.hpp"

#include <gtest/gtest.h>

namespace procpool::testing {
namespace {

// Spins once without success, and returns how many spins are skipped then.
unsigned skipped_after_a_failure(base::spin_backoff& b) {
  b.failed();
  unsigned skipped = 0;
  while (!b.may_spin()) ++skipped;
  return skipped;
}

TEST(spin_backoff_test, skips_more_spins_after_each_failure) {
  base::spin_backoff b;
  EXPECT_TRUE(b.may_spin());
  for (const unsigned expected : {0U, 3U, 7U, 15U, 31U, 63U, 63U, 63U}) {
    EXPECT_EQ(skipped_after_a_failure(b), expected);
  }
}

TEST(spin_backoff_test, a_success_counts_for_two_failures) {
  base::spin_backoff b;
  for (int i = 0; i < 5; ++i) skipped_after_a_failure(b);
  b.found();
  EXPECT_TRUE(b.may_spin());
  EXPECT_EQ(skipped_after_a_failure(b), 15U);  // the fourth
  b.found();
  b.found();
  b.found();
  EXPECT_EQ(skipped_after_a_failure(b), 0U);  // the first
}

}  // namespace
}  // namespace procpool::testing
