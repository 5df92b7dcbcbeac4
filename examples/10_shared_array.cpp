// Large data without copies: a shared_array lies in memory that the program and its workers share.
// Passing it, or a part of it, costs the same for a kilobyte and for a gigabyte. Here tasks blur
// stripes of an image, count what they changed, and one makes the image in the first place.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <span>
#include <vector>

#include <procpool/procpool.hpp>

namespace pp = procpool;

constexpr std::size_t width = 1024, height = 512, stripe = 32;

// A result that is an array is not copied either: the task makes it where all processes see it.
pp::shared_array<float> draw() {
  pp::shared_array<float> image(width * height);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) image[y * width + x] = (x / 8 + y / 8) % 2 == 0 ? 1 : 0;
  }
  return image;
}

// Reads one image and writes its stripe of the other. Stripes do not overlap, so the tasks need no
// lock; what all of them write to is atomic.
void blur(const pp::shared_array<const float>& from, const pp::shared_array<float>& to,
          const pp::shared_value<std::atomic<long>>& changed, std::size_t first_row) {
  long count = 0;
  for (std::size_t y = first_row; y < first_row + stripe; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      const std::size_t left = x == 0 ? x : x - 1, right = std::min(x + 1, width - 1);
      const float* row = &from[y * width];
      to[y * width + x] = (row[left] + row[x] + row[right]) / 3;
      count += to[y * width + x] != row[x];
    }
  }
  *changed += count;
}

double brightness(std::span<const float> pixels) {
  double sum = 0;
  for (const float p : pixels) sum += p;
  return sum / static_cast<double>(pixels.size());
}

int main() {
  pp::process_pool_executor pool;
  const pp::shared_array<float> image = pool.submit(draw).get();
  const pp::shared_array<float> blurred(image.size());
  const pp::shared_value<std::atomic<long>> changed(0);

  std::vector<std::size_t> rows;
  for (std::size_t y = 0; y < height; y += stripe) rows.push_back(y);
  pool.for_each(pp::partial(blur, pp::shared_array<const float>(image), blurred, changed), rows);

  // A span parameter takes a shared array as it takes a vector, but without the copy.
  const double before = pool.submit(brightness, image).get();
  const double after = pool.submit(brightness, blurred).get();
  const double corner = pool.submit(brightness, blurred.subarray(0, width)).get();
  std::printf("%ld of %zu pixels changed; brightness %.3f, then %.3f (first row %.3f)\n",
              changed->load(), image.size(), before, after, corner);
  return changed->load() == 2 * 127 * static_cast<long>(height) && before == 0.5 ? 0 : 1;
}
