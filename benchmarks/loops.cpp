// Loops over items: side by side, and procpool's automatic chunks next to sizes chosen by hand.
#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <vector>

#include "pooled.hpp"
#include "procpool/procpool.hpp"
#include "works.hpp"

namespace bench {
namespace {

namespace pp = procpool;

// map with chunks of one size, or automatic ones.
class chunked final : public contender {
 public:
  chunked(int workers, std::optional<std::size_t> chunksize)
      : pool_(workers), options_{.chunksize = chunksize} {}
  void warm_up() override { map(std::vector<std::uint64_t>(5000, 1)); }

  double map(const std::vector<std::uint64_t>& rounds) {
    if (checked_ != rounds) {
      right_ = std::transform_reduce(rounds.begin(), rounds.end(), std::uint64_t{0}, std::plus<>(),
                                     compute);
      checked_ = rounds;
    }
    std::uint64_t sum = 0;
    const stopwatch all;
    for (const std::uint64_t x : pool_.map(options_, compute, rounds)) sum += x;
    const double took = all.seconds();
    expect(sum == right_);
    return took;
  }

 private:
  pp::process_pool_executor pool_;
  pp::map_options options_;
  std::vector<std::uint64_t> checked_;
  std::uint64_t right_ = 0;
};

// One in a hundred takes a hundred times as long: where they lie is left to chance, but always to
// the same one.
std::vector<std::uint64_t> uneven(int n) {
  std::vector<std::uint64_t> rounds(static_cast<std::size_t>(n), rounds_for(1e-6));
  std::uint64_t random = 88172645463325252U;
  for (std::uint64_t& x : rounds) {
    random ^= random << 13U;
    random ^= random >> 7U;
    random ^= random << 17U;
    if (random % 100 == 0) x = rounds_for(1e-4);
  }
  return rounds;
}

void compare_chunks(runner& r, int cpus) {
  const auto with = [](const char* name, std::optional<std::size_t> chunksize) {
    return entry{.name = name, .make = [chunksize](int workers) {
                   return std::make_unique<chunked>(workers, chunksize);
                 }};
  };
  const std::vector<entry> sizes = {
      with("procpool", std::nullopt),         with("procpool, chunks of 1", 1),
      with("procpool, chunks of 16", 16),     with("procpool, chunks of 256", 256),
      with("procpool, chunks of 4096", 4096), with("procpool, chunks of 65536", 65536)};
  struct kind {
    const char* name;
    double seconds;  // of one item, on average
    int n;           // so many that a chunk of 65,536 is not all there is, where that is possible
  };
  for (const kind& k :
       {kind{"items of 0 us", 1e-9, 1'000'000}, kind{"items of 0.1 us", 1e-7, 500'000},
        kind{"items of 1 us", 1e-6, 200'000}, kind{"items of 10 us", 1e-5, 20'000},
        kind{"items of 1 us, one in 100 of 100 us", 2e-6, 100'000}}) {
    const bool even = k.seconds != 2e-6;
    r.compare({.id = "map_chunks",
               .title = "map with automatic chunks, and with sizes chosen by hand",
               .parameter = k.name,
               .unit = "items/s",
               .x = k.seconds,
               .workers = cpus,
               .what = says::count_per_second,
               .most = k.n,
               .multiple = k.n,  // all of them the same loop
               .run = [rounds = even ? std::vector<std::uint64_t>(static_cast<std::size_t>(k.n),
                                                                  rounds_for(k.seconds))
                                     : uneven(k.n)](
                          contender& c, int /*n*/,
                          auto&) { return dynamic_cast<chunked&>(c).map(rounds); }},
              sizes);
  }
}

}  // namespace

void compare_loops(runner& r, int cpus) {
  r.compare({.id = "map_small",
             .title = "parallel for over 10 million small items",
             .parameter = workers_text(cpus),
             .unit = "items/s",
             .workers = cpus,
             .what = says::count_per_second,
             .most = 10'000'000,
             .multiple = 100'000,  // fewer would show what a loop costs, not an item
             .whole = 10'000'000,
             .run = [](contender& c, int n, auto&) { return c.small_items(n); }});
  for (const double seconds : {1e-6, 1e-5}) {
    char text[32];
    std::snprintf(text, sizeof(text), "items of %g us", seconds * 1e6);
    r.compare({.id = "map_busy",
               .title = "parallel for over a million items that compute",
               .parameter = text,
               .unit = "items/s",
               .x = seconds,
               .workers = cpus,
               .what = says::count_per_second,
               .most = 1'000'000,
               .whole = 1'000'000,
               .run = [seconds](contender& c, int n, auto&) { return c.busy_items(seconds, n); }});
  }
  if (r.wanted("map_chunks")) compare_chunks(r, cpus);
}

}  // namespace bench
