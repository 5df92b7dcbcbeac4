// Practice 1: scope the pool. The executor is RAII: at the end of its scope everything that was
// submitted is done and every worker process is gone, whichever way the scope is left.

#include <cmath>
#include <cstdio>
#include <numbers>
#include <stdexcept>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

// The integral of 4 / (1 + x^2) over [from, to]: a part of pi.
double integrate(double from, double to) {
  constexpr int steps = 2'000'000;
  const double width = (to - from) / steps;
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = from + (i + 0.5) * width;
    sum += 4 / (1 + x * x);
  }
  return sum * width;
}

double pi_in_slices(int slices) {
  std::vector<pp::future<double>> parts;
  {
    pp::process_pool_executor pool;  // a worker for each CPU
    for (int i = 0; i < slices; ++i) {
      parts.push_back(pool.submit(integrate, 1.0 * i / slices, (i + 1.0) / slices));
    }
  }  // waits here, as shutdown() does
  double pi = 0;
  for (auto& part : parts) pi += part.get();  // all there: a future outlives its pool
  return pi;
}

// While an exception passes, what has not started is cancelled, so that the error is not held up.
void fail_half_way(std::vector<pp::future<double>>& parts) {
  pp::process_pool_executor pool(1);
  for (int i = 0; i < 1000; ++i) parts.push_back(pool.submit(integrate, 0.0, 1.0));
  throw std::runtime_error("something else went wrong");
}

int main() {
  const double pi = pi_in_slices(8);
  std::printf("pi is %.9f\n", pi);
  std::vector<pp::future<double>> parts;
  std::size_t cancelled = 0;
  try {
    fail_half_way(parts);
  } catch (const std::runtime_error& e) {
    for (const auto& part : parts) cancelled += part.cancelled();
    std::printf("%s: %zu tasks were cancelled\n", e.what(), cancelled);
  }
  return std::abs(pi - std::numbers::pi) < 1e-9 && cancelled > 900 ? 0 : 1;
}
