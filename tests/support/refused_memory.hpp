// Replaces operator new by one that asks the test first. For one source file of a program, which
// defines may_allocate(). The sanitizers have their own, and clang leaves calls out.
#pragma once

#include <cstdlib>
#include <new>

namespace procpool::testing {

// False: this allocation fails. Any thread.
[[maybe_unused]] bool may_allocate();

}  // namespace procpool::testing

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (!procpool::testing::may_allocate()) throw std::bad_alloc();
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return procpool::testing::may_allocate() ? std::malloc(size) : nullptr;
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
inline constexpr bool can_refuse_memory = true;
#else
inline constexpr bool can_refuse_memory = false;
#endif
