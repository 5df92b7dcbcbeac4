// compute() for Python's pools, by ctypes: the same machine code as in the tasks of all others.
#include "../compute.hpp"

extern "C" std::uint64_t bench_compute(std::uint64_t rounds) { return bench::compute(rounds); }
