# Each examples/<name>.cpp or examples/<name>/main.cpp is a program and a test: it must end with 0.
# Those whose name has asio in it need Boost.Asio. Without PROCPOOL_BUILD_EXAMPLES only those are built
# that other tests run.

include(asio)
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/*.cpp"
                                            "${PROJECT_SOURCE_DIR}/examples/*/main.cpp")
foreach(source IN LISTS example_sources)
  cmake_path(GET source STEM name)
  if(name STREQUAL "main")
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME name)
  endif()
  if(name MATCHES "asio" AND NOT Boost_FOUND)
    continue()
  endif()
  add_executable(example_${name} "${source}")
  target_link_libraries(example_${name} PRIVATE procpool::procpool)
  set_target_properties(example_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
  procpool_warnings(example_${name})
  if(PROCPOOL_BUILD_TESTS)
    target_compile_options(example_${name} PRIVATE ${PROCPOOL_TEST_OPTIONS})
  endif()
  if(name MATCHES "asio")
    procpool_link_asio(example_${name} boost)
  endif()
  if(NOT PROCPOOL_BUILD_EXAMPLES)
    set_target_properties(example_${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  elseif(PROCPOOL_BUILD_TESTS)
    add_test(NAME example.${name} COMMAND example_${name})
    set_tests_properties(example.${name} PROPERTIES LABELS examples TIMEOUT 180)
  endif()
endforeach()
