// The build options on which a program and the library have to agree, beyond the version:
// containers of the standard library pass between them, so their layouts must be equal. Otherwise
// the program does not link, and the name of the missing symbol is the reason. No code, no state.
#pragma once

#include <cstddef>  // the macros of the standard library

#ifndef __cpp_exceptions
#error "procpool needs exceptions: compile without -fno-exceptions"
#endif
#ifndef __cpp_rtti
#error "procpool needs type information: compile without -fno-rtti"
#endif

namespace procpool::detail {

#ifdef _GLIBCXX_DEBUG
__attribute__((
    visibility("default"))) extern const char build_the_library_with_D_GLIBCXX_DEBUG_as_the_program;
[[gnu::used, gnu::visibility("hidden")]] inline const char* const debug_containers =
    &build_the_library_with_D_GLIBCXX_DEBUG_as_the_program;
#else
__attribute__((visibility(
    "default"))) extern const char build_the_library_without_D_GLIBCXX_DEBUG_as_the_program;
[[gnu::used, gnu::visibility("hidden")]] inline const char* const plain_containers =
    &build_the_library_without_D_GLIBCXX_DEBUG_as_the_program;
#endif

#if defined(_LIBCPP_VERSION)
__attribute__((
    visibility("default"))) extern const char build_the_library_with_libcxx_as_the_program;
[[gnu::used, gnu::visibility("hidden")]] inline const char* const libcxx_strings =
    &build_the_library_with_libcxx_as_the_program;
#elif defined(_GLIBCXX_USE_CXX11_ABI) && !_GLIBCXX_USE_CXX11_ABI
__attribute__((visibility(
    "default"))) extern const char build_the_library_with_D_GLIBCXX_USE_CXX11_ABI_0_as_the_program;
[[gnu::used, gnu::visibility("hidden")]] inline const char* const old_strings =
    &build_the_library_with_D_GLIBCXX_USE_CXX11_ABI_0_as_the_program;
#else
__attribute__((visibility("default"))) extern const char
    build_the_library_with_libstdcxx_and_its_CXX11_ABI_as_the_program;
[[gnu::used, gnu::visibility("hidden")]] inline const char* const new_strings =
    &build_the_library_with_libstdcxx_and_its_CXX11_ABI_as_the_program;
#endif

}  // namespace procpool::detail
