// Boost.Interprocess: its primitives in memory that forked processes share, and its message queue.
#include "primitives/kit.hpp"

#ifdef BENCH_BOOST

#include <unistd.h>

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <string>

namespace bench {
namespace {

namespace ip = boost::interprocess;

struct boost_lock {
  std::shared_ptr<ip::interprocess_mutex> m = make_shared_memory<ip::interprocess_mutex>();
  void lock() const { m->lock(); }
  void unlock() const { m->unlock(); }
};

struct boost_semaphore {
  std::shared_ptr<ip::interprocess_semaphore> s;
  void acquire() const { s->wait(); }
  void release() const { s->post(); }
};

struct boost_condition {
  boost_lock m = {};
  std::shared_ptr<ip::interprocess_condition> changed =
      make_shared_memory<ip::interprocess_condition>();
  void lock() const { m.lock(); }
  void unlock() const { m.unlock(); }
  void notify() const { changed->notify_one(); }
  void wait() const {
    ip::scoped_lock guard(*m.m, ip::accept_ownership);
    changed->wait(guard);
    guard.release();
  }
};

// Its name is removed at once: the children inherit the queue.
struct boost_queue {
  std::shared_ptr<ip::message_queue> items;
  explicit boost_queue(std::size_t bytes) {
    const std::string name = "procpool-bench-" + std::to_string(::getpid());
    ip::message_queue::remove(name.c_str());
    items = std::make_shared<ip::message_queue>(ip::create_only, name.c_str(), 64, bytes);
    ip::message_queue::remove(name.c_str());
  }
  void put(const std::vector<char>& item) const { items->send(item.data(), item.size(), 0); }
  void get(std::vector<char>& item) const {
    ip::message_queue::size_type size = 0;
    unsigned priority = 0;
    items->receive(item.data(), item.size(), size, priority);
    expect(size == item.size());
  }
};

struct boost_kit {
  forked_crew crew;
  boost_lock lock() { return {}; }
  boost_semaphore semaphore(int n) {
    return {make_shared_memory<ip::interprocess_semaphore>(static_cast<unsigned>(n))};
  }
  boost_condition condition() { return {}; }
  boost_queue queue(std::size_t bytes) { return boost_queue(bytes); }
};

}  // namespace

std::vector<entry> boost_primitives() {
  return {primitives_entry<boost_kit>("Boost.Interprocess")};
}

}  // namespace bench

#else

namespace bench {
std::vector<entry> boost_primitives() { return {}; }
}  // namespace bench

#endif
