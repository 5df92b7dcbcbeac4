// A library that a program loads while its workers run. Built twice, with different factors, so
// that one build can take the other's place.
#include <cstdint>

extern "C" __attribute__((visibility("default"))) std::uint64_t multiply(std::uint64_t x) {
  return x * PLUGIN_FACTOR;
}
