// More waiters than a condition variable has slots for.
#include "procpool/condition_variable.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "os/owner_id.hpp"
#include "support/pool_test.hpp"

namespace {

using namespace procpool;
using namespace procpool::testing;
using namespace std::chrono_literals;

constexpr std::size_t slots_used = 6, first_slot = 7;  // words from the begin of the object
constexpr std::size_t slots = (16384 - 56 - 8 * 16) / 16;

std::atomic<os::owner_id>* words_of(const condition_variable& c) {
  // Its only member.
  const auto& object = reinterpret_cast<const detail::shared_object&>(c);
  return reinterpret_cast<std::atomic<os::owner_id>*>(object.data());
}

class condition_variable_test : public handle_test {};

TEST_F(condition_variable_test, waits_without_a_slot_end_too) {
  const mutex m;
  const condition_variable c;
  words_of(c)[slots_used] = slots;
  for (std::size_t i = 0; i < slots; ++i) {
    words_of(c)[first_slot + 2 * i] = os::this_process_owner();  // of a process that is alive
  }
  std::unique_lock lock(m);
  EXPECT_EQ(c.wait_for(lock, 0s), std::cv_status::timeout);
  EXPECT_FALSE(c.wait_for(lock, 20ms, [] { return false; }));
  EXPECT_FALSE(c.wait_until(lock, std::chrono::system_clock::now() + 20ms, [] { return false; }));

  std::atomic<bool> holds = false;
  std::thread later([&] {
    const std::lock_guard theirs(m);
    holds = true;
    c.notify_all();
  });
  c.wait(lock, [&] { return holds.load(); });
  EXPECT_TRUE(m.is_mine());
  lock.unlock();
  later.join();
}

}  // namespace
