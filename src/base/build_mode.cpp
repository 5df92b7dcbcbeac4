// How this library was built, for the linker: see the header.

#include "procpool/export.hpp"

namespace procpool::detail {

#ifdef _GLIBCXX_DEBUG
const char build_the_library_with_D_GLIBCXX_DEBUG_as_the_program = 0;
#else
const char build_the_library_without_D_GLIBCXX_DEBUG_as_the_program = 0;
#endif

#if defined(_LIBCPP_VERSION)
const char build_the_library_with_libcxx_as_the_program = 0;
#elif defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
const char build_the_library_with_D_GLIBCXX_USE_CXX11_ABI_0_as_the_program = 0;
#else
const char build_the_library_with_libstdcxx_and_its_CXX11_ABI_as_the_program = 0;
#endif

}  // namespace procpool::detail
