// procpool: the parties are tasks, in workers of a pool of its own.
#include <new>
#include <optional>
#include <vector>

#include "primitives/kit.hpp"
#include "procpool/procpool.hpp"

namespace bench {
namespace {

namespace pp = procpool;

template <auto Body, class Handle>
void in_worker(const Handle& h, const pp::shared_array<std::byte>& memory, const plan& p,
               int party) {
  Body(h, *reinterpret_cast<stage*>(memory.data()), p, party);
}

class pool_crew {
 public:
  template <auto Body, class Handle>
  const stage& run(const Handle& h, const plan& p) {
    if (pool_ == std::nullopt || workers_ != p.parties) {
      workers_ = p.parties;
      pool_.emplace(workers_);
    }
    memory_ = pp::shared_array<std::byte>(sizeof(stage));
    const stage& s = *new (memory_.data()) stage;
    std::vector<pp::future<void>> all;
    for (int i = 0; i < p.parties; ++i) {
      all.push_back(pool_->submit(in_worker<Body, Handle>, h, memory_, p, i));
    }
    for (pp::future<void>& f : all) f.get();
    return s;
  }

 private:
  std::optional<pp::process_pool_executor> pool_;
  int workers_ = 0;
  pp::shared_array<std::byte> memory_;
};

struct our_lock {
  pp::mutex m;
  void lock() const { m.lock(); }
  void unlock() const { m.unlock(); }
};

struct our_condition {
  pp::mutex m;
  pp::condition_variable changed;
  void lock() const { m.lock(); }
  void unlock() const { m.unlock(); }
  void notify() const { changed.notify_one(); }
  void wait() const {
    std::unique_lock guard(m, std::adopt_lock);
    changed.wait(guard);
    guard.release();
  }
};

constexpr std::size_t queue_length = 64;

struct our_queue {
  pp::queue<std::vector<char>> items;
  void put(const std::vector<char>& item) const { items.put(item); }
  void get(std::vector<char>& item) const { item = items.get(); }
};

struct our_number_queue {
  pp::queue<std::uint64_t> items;
  void put(const std::vector<char>& item) const {
    std::uint64_t number = 0;
    std::memcpy(&number, item.data(), sizeof(number));
    items.put(number);
  }
  void get(std::vector<char>& item) const { stamp(item, items.get()); }
};

struct our_counter {
  pp::proxy<std::uint64_t> number;
  std::uint64_t add(int /*client*/, std::uint64_t n) const {
    return number.call([](std::uint64_t& x, std::uint64_t by) { return x += by; }, n);
  }
};

struct our_kit {
  pool_crew crew;
  our_lock lock() { return {}; }
  pp::counting_semaphore semaphore(int n) { return pp::counting_semaphore(n); }
  our_condition condition() { return {}; }
  pp::event event() { return {}; }
  pp::barrier barrier(int parties) { return pp::barrier(static_cast<std::size_t>(parties)); }
  our_queue queue(std::size_t bytes) {
    return {pp::queue<std::vector<char>>(queue_length, queue_length * (bytes + 64))};
  }
  our_number_queue number_queue() { return {pp::queue<std::uint64_t>(queue_length)}; }
  our_counter counter(int /*clients*/) {
    if (!manager_) manager_.emplace();
    return {manager_->make<std::uint64_t>(std::uint64_t{0})};
  }

 private:
  std::optional<pp::manager> manager_;
};

}  // namespace

std::vector<entry> ours() { return {primitives_entry<our_kit>("procpool")}; }

}  // namespace bench
