// Values that are large.
#include <cstdio>

#include "works.hpp"

namespace bench {
namespace {

constexpr std::size_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

std::string text_of(std::size_t bytes) {
  if (bytes >= gib) return std::to_string(bytes / gib) + " GiB";
  if (bytes >= mib) return std::to_string(bytes / mib) + " MiB";
  if (bytes >= kib) return std::to_string(bytes / kib) + " KiB";
  return std::to_string(bytes) + " B";
}

work payload(const char* id, const char* title, payload_way way, std::size_t bytes, int cpus) {
  return {.id = id,
          .title = title,
          .parameter = text_of(bytes),
          .unit = "B/s",
          .x = static_cast<double>(bytes),
          .workers = cpus,
          .what = says::bytes_per_second,
          .scale = static_cast<double>(bytes),
          .most = 100'000,
          .run = [way, bytes](contender& c, int n, auto& each) {
            return c.payloads(way, bytes, n, each);
          }};
}

}  // namespace

void compare_payloads(runner& r, int cpus) {
  for (const std::size_t bytes : {std::size_t{8}, kib, 64 * kib, mib, 16 * mib, 256 * mib}) {
    r.compare(payload("payload", "a value to a worker and back", payload_way::there_and_back, bytes,
                      cpus));
  }
  for (const std::size_t bytes : {kib, 64 * kib, mib, 16 * mib}) {
    r.compare(payload("payload_in", "a value to a worker, which reads all of it",
                      payload_way::argument, bytes, cpus));
  }
  for (const std::size_t bytes : {kib, 64 * kib, mib, 16 * mib}) {
    r.compare(payload("payload_out", "a value from a worker, which has it already",
                      payload_way::result, bytes, cpus));
  }
  r.compare({.id = "by_handle",
             .title = "an array by handle: a task that looks at its ends",
             .parameter = text_of(gib),
             .unit = "s/task",
             .x = static_cast<double>(gib),
             .workers = cpus,
             .most = 20'000,
             .run = [](contender& c, int n, auto& each) { return c.by_handle(gib, n, each); }});
}

}  // namespace bench
