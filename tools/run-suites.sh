#!/bin/bash
# Configures, builds and tests each preset named, and totals them: tools/run-suites.sh dev clang ...
# The results stay in build/results, two files for each preset. Goes on after a failure, so that one
# run shows all of them. JOBS says how many compilers run at a time, and half of how many tests: those
# wait most of the time.
set -uo pipefail
cd "$(dirname "$0")/.."

jobs=${JOBS:-$(nproc)}
results=build/results
# Objects may come from another build folder's compilation: the package tests build the library again.
export CCACHE_NOHASHDIR=1
mkdir -p "$results"
status=0

for preset in "$@"; do
  rm -f "$results/$preset".{xml,times}
  SECONDS=0
  # Notes the seconds of a step.
  lap() { echo "$1 $SECONDS" >>"$results/$preset.times"; SECONDS=0; }
  cmake --preset "$preset" >"$results/$preset.configure.log" ||
    { cat "$results/$preset.configure.log"; status=1; continue; }
  lap configure
  nice cmake --build "build/$preset" -j "$jobs" -- -k 0 || status=1
  lap build
  ctest --preset "$preset" -j "$((2 * jobs))" --output-junit "$PWD/$results/$preset.xml" || status=1
  lap test
done

tools/total_results.py "$@" || status=1
exit $status
