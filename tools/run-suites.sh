#!/bin/bash
# Configures, builds and tests each preset named, and totals them: tools/run-suites.sh dev clang ...
# The results stay in build/results, one file for each preset. Goes on after a failure, so that one
# run shows all of them.
set -uo pipefail
cd "$(dirname "$0")/.."

jobs=${JOBS:-$(nproc)}
results=build/results
# Objects may come from another build folder's compilation: the package tests build the library again.
export CCACHE_NOHASHDIR=1
mkdir -p "$results"
status=0

for preset in "$@"; do
  rm -f "$results/$preset.xml"
  SECONDS=0
  cmake --preset "$preset" >"$results/$preset.configure.log" ||
    { cat "$results/$preset.configure.log"; status=1; continue; }
  nice cmake --build "build/$preset" -j "$jobs" -- -k 0 || status=1
  built=$SECONDS
  ctest --preset "$preset" --output-junit "$PWD/$results/$preset.xml" || status=1
  echo "$preset: built in ${built} s, tested in $((SECONDS - built)) s"
done

tools/total-results.sh "$@" || status=1
exit $status
