// An exception in a task is thrown where its result is asked for, as the type it had. A
// remote_error is nested in it that says where it came from.

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include <procpool/procpool.hpp>

namespace pp = procpool;

struct overdrawn : std::runtime_error {
  using std::runtime_error::runtime_error;
};
PROCPOOL_EXCEPTION(overdrawn);  // so that it comes back as itself, like the standard types

struct unregistered {};

long withdraw(long balance, long amount) {
  if (amount <= 0) throw std::invalid_argument("amount must be positive");
  if (amount == 13) throw unregistered();
  if (amount > balance) throw overdrawn("short of " + std::to_string(amount - balance));
  return balance - amount;
}

int main() {
  pp::process_pool_executor pool(1);
  int caught = 0;
  try {
    pool.submit(pp::task_options{.label = "withdraw 120"}, withdraw, 100, 120).get();
  } catch (const overdrawn& e) {
    std::printf("overdrawn: %s\n", e.what());
    caught += std::string(e.what()) == "short of 20";
    try {
      std::rethrow_if_nested(e);
    } catch (const pp::remote_error& remote) {
      std::printf("  thrown in %s\n", remote.where().c_str());
      caught += remote.where().find("withdraw 120") != std::string::npos;
    }
  }
  try {
    pool.submit(withdraw, 100, -5).get();
  } catch (const std::invalid_argument& e) {
    std::printf("invalid_argument: %s\n", e.what());
    ++caught;
  }
  try {
    pool.submit(withdraw, 100, 13).get();
  } catch (const pp::remote_error& e) {  // a type that is not registered
    std::printf("remote_error: %s\n", e.type_name().c_str());
    ++caught;
  }

  // exception() asks without throwing, and the future keeps its result.
  auto future = pool.submit(withdraw, 100, 30);
  caught += future.exception() == nullptr;
  return caught == 5 && future.get() == 70 ? 0 : 1;
}
