#!/bin/bash
# Builds the benchmarks as the library is shipped, runs them, and prints the table:
# tools/run-benchmarks.sh [WORK ...]. With PAGE=1 it also rewrites docs/performance.md and its plots.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/bench
mkdir -p build
{
  cmake --preset release -B "$build" -DPROCPOOL_BUILD_BENCHMARKS=ON &&
    cmake --build "$build" --parallel "${JOBS:-2}" --target bench
} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

"$build/benchmarks/bench" --rounds "${ROUNDS:-5}" --json "$build/results.json" "$@"
page=()
[ -z "${PAGE:-}" ] || page=(--page docs)
tools/bench_page.py "$build/results.json" "${page[@]}"
