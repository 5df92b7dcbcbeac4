#!/bin/bash
# Configures, builds and tests each preset named, and totals them: tools/run-suites.sh dev clang ...
# The results stay in build/results, two files for each preset. Goes on after a failure, so that one
# run shows all of them. JOBS says how many compilers run at a time, and half of how many tests.
# Tests wait most of the time: while those of a preset run, the next preset is built, with what the
# tests leave of the CPUs.
set -uo pipefail
cd "$(dirname "$0")/.."

presets=("$@")
jobs=${JOBS:-$(nproc)}
results=build/results
# Objects may come from another build folder's compilation: the package tests build the library again.
# What an object depends on is what its compilation read, so that ccache preprocesses nothing.
export CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
mkdir -p "$results"
status=0

# Notes the seconds of a step that began at SECONDS = 0.
lap() { echo "$2 $SECONDS" >>"$results/$1.times"; SECONDS=0; }

build() {
  rm -f "$results/$1".{xml,times}
  SECONDS=0
  cmake --preset "$1" >"$results/$1.configure.log" || { cat "$results/$1.configure.log"; return 1; }
  lap "$1" configure
  nice -n 19 cmake --build "build/$1" -j "$jobs" -- -k 0 || { lap "$1" build; return 1; }
  lap "$1" build
}

building=
for preset in "$@"; do
  if [ -z "$building" ]; then
    build "$preset" || status=1
  elif ! wait "$building"; then
    status=1
    grep -vE '^\[[0-9]+/[0-9]+\] [A-Z]' "$results/$preset.build.log"  # what the compilers said
  fi
  shift
  building=
  if [ $# -gt 0 ]; then
    build "$1" >"$results/$1.build.log" 2>&1 &
    building=$!
  fi
  [ -f "build/$preset/CTestTestfile.cmake" ] || continue
  SECONDS=0
  ctest --preset "$preset" -j "$((2 * jobs))" --output-junit "$PWD/$results/$preset.xml" || status=1
  lap "$preset" test
done

tools/total_results.py "${presets[@]}" || status=1
exit $status
