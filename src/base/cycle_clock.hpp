// The processor's cycle counter, for the decisions whether to spin or to sleep: a clock_gettime per
// task would cost as much as the task. The outcome of a task never depends on it, since the
// counters of different CPUs may differ.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace procpool::base {

inline std::uint64_t monotonic_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(t.tv_nsec);
}

inline std::uint64_t cycles() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  std::uint64_t v = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(v));
  return v;
#else
  return monotonic_ns();
#endif
}

// One turn of a loop that spins on memory which another core will change.
inline void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Prefetches the cache line of `p` for writing. A hint: any address is allowed.
inline void prefetch_to_write(const void* p) {
#if defined(__x86_64__)
  // Compilers emit this for __builtin_prefetch(p, 1) only if newer processors are asked for; older
  // processors execute it as a no-op.
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(p)));
#else
  __builtin_prefetch(p, 1);
#endif
}

// A full fence after an atomic read-modify-write of any order, which on x86 is a full fence
// already.
inline void fence_after_exchange() {
#if defined(__x86_64__)
  asm volatile("" : : : "memory");
#else
  // seq_cst: the store before it is ordered before the load after it, as in Dekker's algorithm
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

// Measured once per process, for about 200 microseconds.
inline std::uint64_t cycles_per_us() {
  static const std::uint64_t rate = [] {
    const std::uint64_t t0 = monotonic_ns(), c0 = cycles();
    std::uint64_t t1 = t0;
    while (t1 - t0 < 200'000) t1 = monotonic_ns();
    const std::uint64_t r = (cycles() - c0) * 1000 / (t1 - t0);
    return r == 0 ? 1 : r;
  }();
  return rate;
}

}  // namespace procpool::base
