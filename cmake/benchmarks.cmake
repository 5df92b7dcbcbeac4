# Each benchmarks/*.cpp is one program; `make bench` runs them.

find_package(benchmark REQUIRED)
file(GLOB benchmark_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/benchmarks/*.cpp")
foreach(source IN LISTS benchmark_sources)
  cmake_path(GET source STEM name)
  add_executable(benchmark_${name} "${source}")
  target_link_libraries(benchmark_${name} PRIVATE procpool::procpool benchmark::benchmark)
  set_target_properties(benchmark_${name} PROPERTIES
    OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/benchmarks")
  procpool_warnings(benchmark_${name})
endforeach()
