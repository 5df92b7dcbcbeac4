// procpool, as its users write it.
#include <numeric>
#include <span>
#include <vector>

#include "pooled.hpp"
#include "procpool/procpool.hpp"

namespace bench {
namespace {

namespace pp = procpool;

std::vector<char> give_back(std::vector<char> v) { return v; }

class procpool_contender final : public pooled_contender<pp::process_pool_executor> {
 public:
  using pooled_contender::pooled_contender;
  std::string name() const override { return "procpool"; }

  double small_items(int n) override {
    if (items_.size() != static_cast<std::size_t>(n)) {
      items_.resize(static_cast<std::size_t>(n));
      std::iota(items_.begin(), items_.end(), 0);
    }
    const stopwatch all;
    std::int64_t sum = 0;
    for (const int x : pool_.map(next_of, items_)) sum += x;
    expect(sum == std::int64_t{n} * (n + 1) / 2);
    return all.seconds();
  }
  double busy_items(double seconds, int n) override {
    const std::vector<std::uint64_t> rounds(static_cast<std::size_t>(n), rounds_for(seconds));
    const stopwatch all;
    std::uint64_t sum = 0;
    for (const std::uint64_t x : pool_.map(compute, rounds)) sum += x;
    expect(sum != 0);
    return all.seconds();
  }
  double payloads(std::size_t bytes, int n) override {
    const std::vector<char> value(bytes, 'x');
    expect(pool_.submit(give_back, value).get() == value);
    const stopwatch all;
    for (int i = 0; i < n; ++i) expect(pool_.submit(give_back, value).get().size() == bytes);
    return all.seconds();
  }
  double as_completed(int n) override {
    std::vector<pp::future<int>> open;
    open.reserve(static_cast<std::size_t>(n));
    const stopwatch all;
    for (int i = 0; i < n; ++i) open.push_back(pool_.submit(next_of, i));
    std::int64_t sum = 0;
    for (pp::future<int>& f : pp::as_completed(open)) sum += f.get();
    expect(sum == std::int64_t{n} * (n + 1) / 2);
    return all.seconds();
  }

 private:
  std::vector<int> items_;
};

}  // namespace

std::vector<entry> procpool_contenders() {
  return {{"procpool", [](int workers) { return std::make_unique<procpool_contender>(workers); }}};
}

}  // namespace bench
