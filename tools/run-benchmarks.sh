#!/bin/bash
# Builds the benchmarks as the library is shipped, runs them, and prints the tables and the goals:
# tools/run-benchmarks.sh [WORK ...]. With PAGE=1 it also rewrites docs/performance.md and its plots.
# ROUNDS=1 is quick; the work "instructions" is what callgrind counts, and takes no notice of rounds.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/bench
programs=$build/benchmarks
mkdir -p build
{
  cmake --preset release -B "$build" -DPROCPOOL_BUILD_BENCHMARKS=ON &&
    cmake --build "$build" --parallel "${JOBS:-2}" --target bench_all
} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

if [ "$*" = instructions ]; then
  exec tools/bench_instructions.py "$programs/instructions" --json "$build/instructions.json"
fi

# 3: somebody hung. It said who, and what was measured before is there.
"$programs/bench" --rounds "${ROUNDS:-5}" --json "$build/results.json" "$@" || [ $? = 3 ]
[ $# -gt 0 ] || tools/bench_instructions.py "$programs/instructions" --into "$build/results.json" ||
  echo "instructions were not counted" >&2
page=()
[ -z "${PAGE:-}" ] || page=(--page docs)
tools/bench_page.py "$build/results.json" "${page[@]}"
