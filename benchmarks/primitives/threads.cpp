// std::mutex and similar types, among threads of one process: no peer, since processes cannot use
// them, but the cost in programs that need no processes.
#include <barrier>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <semaphore>

#include "primitives/kit.hpp"

namespace bench {
namespace {

struct std_lock {
  std::shared_ptr<std::mutex> m = std::make_shared<std::mutex>();
  void lock() const { m->lock(); }
  void unlock() const { m->unlock(); }
};

struct std_semaphore {
  std::shared_ptr<std::counting_semaphore<>> s;
  void acquire() const { s->acquire(); }
  void release() const { s->release(); }
};

struct std_condition : std_lock {
  std::shared_ptr<std::condition_variable> changed = std::make_shared<std::condition_variable>();
  void notify() const { changed->notify_one(); }
  void wait() const {
    std::unique_lock guard(*m, std::adopt_lock);
    changed->wait(guard);
    guard.release();
  }
};

struct std_barrier {
  std::shared_ptr<std::barrier<>> b;
  void wait() const { b->arrive_and_wait(); }
};

// A queue as programs write it by hand.
struct std_queue {
  struct items_between {
    std::mutex mutex;
    std::condition_variable filled, emptied;
    std::deque<std::vector<char>> items;
  };
  std::shared_ptr<items_between> at = std::make_shared<items_between>();
  void put(const std::vector<char>& item) const {
    std::vector<char> copy = item;
    {
      std::unique_lock guard(at->mutex);
      at->emptied.wait(guard, [&] { return at->items.size() < 64; });
      at->items.push_back(std::move(copy));
    }
    at->filled.notify_one();
  }
  void get(std::vector<char>& item) const {
    {
      std::unique_lock guard(at->mutex);
      at->filled.wait(guard, [&] { return !at->items.empty(); });
      item = std::move(at->items.front());
      at->items.pop_front();
    }
    at->emptied.notify_one();
  }
};

struct std_kit {
  thread_crew crew;
  std_lock lock() { return {}; }
  std_semaphore semaphore(int n) { return {std::make_shared<std::counting_semaphore<>>(n)}; }
  std_condition condition() { return {}; }
  std_barrier barrier(int parties) { return {std::make_shared<std::barrier<>>(parties)}; }
  std_queue queue(std::size_t /*bytes*/) { return {}; }
};

}  // namespace

std::vector<entry> thread_primitives() { return {primitives_entry<std_kit>("std::thread")}; }

}  // namespace bench
