// Practice 2: map for a parallel for-loop. Results come in the order of the input while later items
// are still being worked on, and the pool decides how many items travel together.

#include <cstdio>
#include <ranges>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

bool is_prime(int n) {
  if (n < 2) return false;
  for (int d = 2; d <= n / d; ++d) {
    if (n % d == 0) return false;
  }
  return true;
}

int primes_between(int first, int last) {
  int count = 0;
  for (int n = first; n < last; ++n) count += is_prime(n);
  return count;
}

int main() {
  pp::process_pool_executor pool;

  // Any range will do. Here: a million numbers that are never stored.
  int primes = 0;
  for (const bool prime : pool.map(is_prime, std::views::iota(0, 1'000'000))) primes += prime;
  std::printf("there are %d primes below 1,000,000\n", primes);

  // Several ranges are zipped to the shortest, one argument from each.
  const std::vector<int> from = {0, 100'000, 500'000};
  const std::vector<int> to = {100'000, 500'000, 1'000'000};
  int sum = 0;
  auto counts = pool.map(primes_between, from, to);
  for (std::size_t i = 0; const int count : counts) {
    std::printf("  from %7d to %9d: %6d\n", from[i], to[i], count);
    sum += count;
    ++i;
  }

  // An infinite input is read only as far as results are taken.
  int tenth = 0;
  auto endless = pool.map(is_prime, std::views::iota(2));
  for (int n = 2, seen = 0; const bool prime : endless) {
    if (prime && ++seen == 10) {
      tenth = n;
      break;
    }
    ++n;
  }
  std::printf("the tenth prime is %d\n", tenth);
  return primes == 78'498 && sum == primes && tenth == 29 ? 0 : 1;
}
