# Our own warnings, for our own targets: always PRIVATE, so that none reaches a user.

function(procpool_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
  # src/base/guarded.hpp: what a mutex guards is used only while it is held.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
  if(PROCPOOL_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  # g++ 12 at -O3 sees an overlap in operator+(const char*, std::string&&) that is not there.
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
endfunction()
