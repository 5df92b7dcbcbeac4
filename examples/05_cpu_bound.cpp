// Practice 5: processes for CPU-bound work. Rows of a picture of the Mandelbrot set, first here and
// then in a process for each CPU; the more a task computes for each byte it carries, the better.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ranges>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

constexpr int width = 600, height = 400;

std::vector<std::uint16_t> row(int y) {
  std::vector<std::uint16_t> pixels(width);
  for (int x = 0; x < width; ++x) {
    const double cr = 3.0 * x / width - 2.2, ci = 2.0 * y / height - 1.0;
    double zr = 0, zi = 0;
    std::uint16_t n = 0;
    for (; n < 1000 && zr * zr + zi * zi < 4; ++n) {
      const double next = zr * zr - zi * zi + cr;
      zi = 2 * zr * zi + ci;
      zr = next;
    }
    pixels[static_cast<std::size_t>(x)] = n;
  }
  return pixels;
}

template <class F>
double seconds(F work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int main() {
  std::vector<std::vector<std::uint16_t>> serial, parallel;
  const double alone = seconds([&] {
    for (int y = 0; y < height; ++y) serial.push_back(row(y));
  });
  int workers = 0;
  const double together = seconds([&] {
    pp::process_pool_executor pool;
    workers = pool.max_workers();
    parallel = pool.map(row, std::views::iota(0, height)).to_vector();
  });

  for (std::size_t y = 0; y < height; y += 16) {
    for (std::size_t x = 0; x < width; x += 8) {
      std::putchar(" .:-=+*#%@"[parallel[y][x] * 9 / 1000]);
    }
    std::putchar('\n');
  }
  std::printf("%.2f s in one process, %.2f s in %d workers\n", alone, together, workers);
  return serial == parallel ? 0 : 1;
}
