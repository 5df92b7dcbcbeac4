# What a user may choose. Without a preset there is only the library, which needs nothing but a
# compiler; the presets, which are for those who work on it, switch the rest on.

option(BUILD_SHARED_LIBS "Build the shared library instead of the static one" OFF)
option(PROCPOOL_INSTALL "Install the library and its package files" ${PROJECT_IS_TOP_LEVEL})
option(PROCPOOL_BUILD_TESTS "Build the tests" OFF)
option(PROCPOOL_BUILD_EXAMPLES "Build the examples" OFF)
option(PROCPOOL_BUILD_DEMO "Build the demo" OFF)
option(PROCPOOL_BUILD_BENCHMARKS "Build the benchmarks" OFF)
option(PROCPOOL_BUILD_FUZZERS "Build the fuzzers (clang only)" OFF)
set(PROCPOOL_BUILD_REMOTE AUTO CACHE STRING
    "Build procpool::remote, which needs OpenSSL 3: ON, OFF, or AUTO, where that is found")
set_property(CACHE PROPERTY PROCPOOL_BUILD_REMOTE PROPERTY STRINGS AUTO ON OFF)
set(PROCPOOL_TEST_OPTIONS "" CACHE STRING "Compiler options for the tests only, e.g. -O0")
option(PROCPOOL_UNITY "Compile each room of src/ as one file: half the time, for a whole build" OFF)
option(PROCPOOL_WERROR "Treat warnings as errors" OFF)
set(PROCPOOL_SANITIZE "" CACHE STRING "Sanitizers for everything, e.g. address,undefined or thread")

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_EXTENSIONS OFF)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
  endif()
  find_program(PROCPOOL_CCACHE ccache)
  if(PROCPOOL_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${PROCPOOL_CCACHE}")
  endif()
endif()
