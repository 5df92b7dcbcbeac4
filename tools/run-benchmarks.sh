#!/bin/bash
# Builds the benchmarks as the library is shipped, and runs one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/bench
mkdir -p build
{
  cmake --preset release -B "$build" -DPROCPOOL_BUILD_BENCHMARKS=ON -DPROCPOOL_BUILD_TESTS=OFF \
    -DPROCPOOL_BUILD_EXAMPLES=OFF -DPROCPOOL_BUILD_DEMO=OFF &&
    cmake --build "$build"
} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

for program in "$build"/benchmarks/*; do
  [ ! -f "$program" ] || [ ! -x "$program" ] || "$program"
done
