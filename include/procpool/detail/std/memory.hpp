// std::unique_ptr, std::shared_ptr, std::allocator, std::addressof and std::to_address, without the
// algorithms and the atomic pointers of <memory>. libstdc++ has them in headers of their own. A
// program that uses them includes <memory>.
#pragma once

#include <cstddef>  // the macros of the standard library

#if _GLIBCXX_RELEASE >= 12 && __has_include(<bits/shared_ptr.h>) && __has_include(<bits/unique_ptr.h>)
#include <bits/shared_ptr.h>
#include <bits/unique_ptr.h>
#else
#include <memory>
#endif
