#!/bin/bash
# Builds the demo as it would be shipped, and runs it on a folder of documents, first serially, then
# on a pool: tools/run-demo.sh. From the environment: DIR names the folder, CHAOS=1 kills workers
# while it runs, JOBS says how many compilers run at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

build=build/demo
mkdir -p build
[ -x "$build/demo/word_stats" ] || echo "building the library and the demo, once: a minute or two on two cores ($build.log)" >&2
{
  cmake --preset release -B "$build" -DPROCPOOL_WERROR=OFF -DPROCPOOL_BUILD_TESTS=OFF \
    -DPROCPOOL_BUILD_EXAMPLES=OFF -DPROCPOOL_UNITY=ON &&
    cmake --build "$build" --parallel "${JOBS:-$(nproc)}" --target word_stats
} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }

arguments=()
[ -z "${DIR:-}" ] || arguments+=(--dir "$DIR")
[ "${CHAOS:-0}" = 0 ] || arguments+=(--chaos)
exec "$build/demo/word_stats" "${arguments[@]}"
