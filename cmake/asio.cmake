# For programs that include procpool/asio.hpp: Boost.Asio, or standalone Asio. Both are headers only,
# and neither is needed by the library.

find_package(Boost QUIET)
find_path(PROCPOOL_STANDALONE_ASIO_DIR asio/awaitable.hpp)
mark_as_advanced(PROCPOOL_STANDALONE_ASIO_DIR)

# Those of Debian 12 are older than the coroutines of the standard in clang, and do not know of them.
function(procpool_link_asio target library)
  if(library STREQUAL "boost")
    target_link_libraries(${target} PRIVATE Boost::headers)
    set(prefix BOOST_ASIO)
  else()
    target_include_directories(${target} SYSTEM PRIVATE "${PROCPOOL_STANDALONE_ASIO_DIR}")
    target_compile_definitions(${target} PRIVATE PROCPOOL_STANDALONE_ASIO)
    set(prefix ASIO)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    target_compile_definitions(${target} PRIVATE
      ${prefix}_HAS_CO_AWAIT=1 ${prefix}_HAS_STD_COROUTINE=1)
  endif()
endfunction()
