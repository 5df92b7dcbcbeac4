// A manager and a proxy in static storage: their constructors run in the fork server, too, where
// they do nothing. Ends with 0 if main can use them, and a task can use what it is passed only.
#include "procpool/procpool.hpp"

namespace {

using namespace procpool;

manager the_manager;
const proxy<long> the_sum = the_manager.make<long>(40);

long add(long& sum, long x) { return sum += x; }

template <class F>
bool refused(F f) {
  try {
    f();
    return false;
  } catch (const nested_use_error&) {
    return true;
  }
}

}  // namespace

int main() {
  if (the_sum.call(add, 1) != 41) return 1;
  process_pool_executor pool(1);
  const auto passed = [](const proxy<long>& sum) { return sum.call(add, 1); };
  if (pool.submit(passed, the_sum).get() != 42) return 2;
  if (!refused([&] { pool.submit([] { the_sum.call(add, 1); }).get(); })) return 3;
  if (!refused([&] { pool.submit([] { (void)the_manager.make<long>(1); }).get(); })) return 4;
  return the_sum.call(add, 0) == 42 ? 0 : 5;
}
