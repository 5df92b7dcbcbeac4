// Tasks that lead to more tasks: a completion_queue takes futures at any time and gives each back
// when it is done. Here an integral, for which difficult intervals are halved again and again.

#include <cmath>
#include <cstdio>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

struct interval {
  double from = 0, to = 0;
};

struct finding {
  double integral = 0;
  std::vector<interval> halves = {};  // where it was not accurate enough
};

double simpson(interval x, int steps) {
  const auto f = [](double at) { return std::sqrt(at); };
  const double width = (x.to - x.from) / steps;
  double sum = 0;
  for (int i = 0; i < steps; ++i) {
    const double left = x.from + i * width;
    sum += f(left) + 4 * f(left + width / 2) + f(left + width);
  }
  return sum * width / 6;
}

finding integrate(interval x) {
  const double coarse = simpson(x, 10'000), fine = simpson(x, 20'000);
  if (std::abs(fine - coarse) < 1e-13) return {.integral = fine};
  const double middle = (x.from + x.to) / 2;
  return {.halves = {{x.from, middle}, {middle, x.to}}};
}

int main() {
  pp::process_pool_executor pool;
  pp::completion_queue<finding> queue;
  queue.add(pool.submit(integrate, interval{0, 1}));

  double integral = 0;
  int tasks = 0;
  while (auto done = queue.next()) {  // empty when all that was added has been taken
    const finding found = done->get();
    integral += found.integral;
    for (const interval& half : found.halves) queue.add(pool.submit(integrate, half));
    ++tasks;
  }
  std::printf("the integral of sqrt(x) from 0 to 1 is %.12f, by %d tasks\n", integral, tasks);
  return std::abs(integral - 2.0 / 3) < 1e-11 && tasks > 10 ? 0 : 1;
}
