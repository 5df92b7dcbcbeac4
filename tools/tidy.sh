#!/bin/bash
# clang-tidy over src/ and those of components/, with its public headers: tools/tidy.sh [folder for
# the compile commands]. Each room of src/ is one file there, which takes a fraction of the time.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1:-build/tidy}
cmake --preset clang -B "$build" -DPROCPOOL_UNITY=ON -DPROCPOOL_BUILD_TESTS=OFF \
  -DPROCPOOL_BUILD_EXAMPLES=OFF -DPROCPOOL_BUILD_DEMO=OFF >/dev/null
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# It narrates each file it looks at; only what it finds is of interest.
if run-clang-tidy-19 -quiet -j "${JOBS:-$(nproc)}" -p "$build" \
    "/Unity/unity_" "^$PWD/(components/[^/]*/)?src/" >"$log" 2>&1; then
  echo "clang-tidy: nothing found"
else
  grep -vE '^$|^Running|^\[|^clang-tidy-19|warnings? generated|^Suppressed|^Use -' "$log"
  exit 1
fi
