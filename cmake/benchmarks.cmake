# The program bench, with all contenders that this machine has, and what it starts: `make bench` runs
# it. bench_instructions is for callgrind.

find_package(TBB QUIET)
find_package(Boost QUIET)
find_package(OpenMP QUIET)
set(benchmarks_dir "${PROJECT_SOURCE_DIR}/benchmarks")
set(benchmarks_out "${PROJECT_BINARY_DIR}/benchmarks")

add_executable(bench_task "${benchmarks_dir}/peers/task.cpp")
target_link_options(bench_task PRIVATE -static)
set_target_properties(bench_task PROPERTIES OUTPUT_NAME task)
add_library(bench_compute MODULE "${benchmarks_dir}/peers/compute.cpp")
foreach(target bench_task bench_compute)
  target_compile_features(${target} PRIVATE cxx_std_20)
  procpool_warnings(${target})
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY "${benchmarks_out}" LIBRARY_OUTPUT_DIRECTORY "${benchmarks_out}")
endforeach()

file(GLOB benchmark_sources CONFIGURE_DEPENDS "${benchmarks_dir}/*.cpp"
                                              "${benchmarks_dir}/primitives/*.cpp")
add_executable(bench ${benchmark_sources})
add_dependencies(bench bench_task bench_compute)
target_include_directories(bench PRIVATE "${benchmarks_dir}")
target_link_libraries(bench PRIVATE procpool::procpool)
target_compile_definitions(bench PRIVATE
  BENCH_PYTHON_PEERS="${benchmarks_dir}/peers/pools.py"
  BENCH_PYTHON_PRIMITIVES="${benchmarks_dir}/peers/primitives.py"
  BENCH_COMPUTE_LIBRARY="$<TARGET_FILE:bench_compute>"
  BENCH_TASK="$<TARGET_FILE:bench_task>")
if(TBB_FOUND)
  target_link_libraries(bench PRIVATE TBB::tbb)
  target_compile_definitions(bench PRIVATE BENCH_TBB)
endif()
if(Boost_FOUND)
  target_link_libraries(bench PRIVATE Boost::headers)
  target_compile_definitions(bench PRIVATE BENCH_ASIO BENCH_BOOST)
endif()
if(OpenMP_CXX_FOUND)
  target_link_libraries(bench PRIVATE OpenMP::OpenMP_CXX)
endif()
set_target_properties(bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${benchmarks_out}")
procpool_warnings(bench)

add_custom_target(bench_all DEPENDS bench)
find_path(CALLGRIND_INCLUDE_DIR valgrind/callgrind.h)
if(CALLGRIND_INCLUDE_DIR)
  add_executable(bench_instructions "${benchmarks_dir}/instructions/instructions.cpp")
  target_link_libraries(bench_instructions PRIVATE procpool::procpool)
  set_target_properties(bench_instructions PROPERTIES
    OUTPUT_NAME instructions RUNTIME_OUTPUT_DIRECTORY "${benchmarks_out}")
  procpool_warnings(bench_instructions)
  add_dependencies(bench_all bench_instructions)
endif()
