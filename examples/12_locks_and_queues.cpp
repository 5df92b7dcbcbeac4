// Tasks that cannot be independent: numbers go through a queue from tasks that find them to tasks
// that test them, at most two at a time use something scarce, and a worker that is killed in the
// middle of it all blocks no task. Where tasks can be independent, map and submit are simpler.

#include <csignal>
#include <cstdio>
#include <mutex>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

struct findings {
  long primes = 0, sum = 0;
};

bool is_prime(long n) {
  for (long d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return n > 1;
}

void find_candidates(const pp::queue<long>& candidates, long from, long to) {
  for (long n = from; n < to; ++n) {
    if (n % 2 != 0) candidates.put(n);  // waits while the queue is full
  }
}

// Takes what comes, until the queue is closed and empty.
void test_candidates(const pp::queue<long>& candidates, const pp::mutex& m,
                     const pp::shared_value<findings>& found) {
  for (const long n : candidates) {
    if (!is_prime(n)) continue;
    const std::lock_guard lock(m);  // both numbers change, or none
    ++found->primes;
    found->sum += n;
  }
}

// Dies with the mutex, and with both permits.
void die(const pp::mutex& m, const pp::bounded_semaphore& scarce) {
  const pp::permit one(scarce), two(scarce);
  const std::lock_guard lock(m);
  std::raise(SIGKILL);
}

int main() {
  pp::process_pool_executor pool(4);
  const pp::queue<long> candidates(64);
  const pp::mutex m;
  const pp::shared_value<findings> found;

  std::vector<pp::future<void>> finding, testing;
  for (long i = 0; i < 2; ++i) {
    testing.push_back(pool.submit(test_candidates, candidates, m, found));
    finding.push_back(pool.submit(find_candidates, candidates, i * 5000, (i + 1) * 5000));
  }
  for (auto& f : finding) f.get();
  candidates.close();  // nothing more will come
  for (auto& f : testing) f.get();
  std::printf("%ld odd primes below 10000, their sum is %ld\n", found->primes, found->sum);

  const pp::bounded_semaphore scarce(2);
  try {
    pool.submit(die, m, scarce).get();
  } catch (const pp::worker_crashed& e) {
    std::printf("%s\n", e.what());
  }
  const std::lock_guard lock(m);  // handed on
  const pp::permit one(scarce);   // returned
  const bool told = m.owner_died();
  std::printf("the mutex says that its owner died: %s\n", told ? "yes" : "no");
  return found->primes == 1228 && told ? 0 : 1;
}
