// Which worker has which partition of the arena. No task runs, so that no result keeps a partition.
#include "pool/partitions.hpp"

#include <gtest/gtest.h>

#include <set>

namespace procpool::parent {
namespace {

class partitions_test : public ::testing::Test {
 protected:
  shm::region region = shm::region::create(1);
  record_table no_records;
  partitions tested{region, no_records};
};

TEST_F(partitions_test, each_worker_gets_another_partition_and_the_first_is_the_parents) {
  std::set<shm::u64> taken;
  for (shm::u64 p = tested.take(0); p != 0; p = tested.take(0)) {
    ASSERT_TRUE(taken.insert(p).second) << p << " was taken twice";
    ASSERT_LE(taken.size(), region.partitions());
  }
  EXPECT_EQ(taken.size(), region.partitions() - 1);
  EXPECT_FALSE(tested.any_retired());
}

TEST_F(partitions_test, a_retired_partition_is_taken_again_once_no_result_is_in_it) {
  while (tested.take(0) != 0) continue;
  tested.retire(3);
  tested.retire(3);
  tested.retire(0);  // what a seat has that never had a worker
  EXPECT_TRUE(tested.any_retired());
  EXPECT_EQ(tested.take(0), 3U);
  EXPECT_FALSE(tested.any_retired());
  EXPECT_EQ(tested.take(0), 0U);
}

TEST_F(partitions_test, only_the_worker_that_took_a_partition_may_have_written_there) {
  const shm::u64 p = tested.take(5);
  EXPECT_TRUE(tested.is_of(p, 5));
  EXPECT_FALSE(tested.is_of(p, 6));
  tested.retire(p);
  EXPECT_TRUE(tested.is_of(p, 5)) << "results of the dead worker may still be read";
  EXPECT_FALSE(tested.is_of(0, 0)) << "the parent's partition";
  EXPECT_FALSE(tested.is_of(region.partitions(), 0)) << "a number that no partition has";
}

}  // namespace
}  // namespace procpool::parent
