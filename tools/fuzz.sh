#!/bin/bash
# Runs the fuzzers and refreshes their corpora: tools/fuzz.sh <build folder> [seconds for each]
#
# The build folder has the fuzzers (CONTRIBUTING.md). A corpus becomes the fewest inputs that reach
# all edges of the code which the old corpus and this run have reached.
set -euo pipefail

build=$(realpath "${1:?the build folder of the fuzzers}")
seconds=${2:-60}
root=$(realpath "$(dirname "$0")/..")

failed=0
all=$(mktemp -d)
trap 'rm -rf "$all"' EXIT
for source in "$root"/tests/fuzz/*_fuzz.cpp; do
  name=$(basename "$source" .cpp)
  fuzzer=$build/tests/fuzz/$name
  corpus=$root/tests/fuzz/corpus/$name
  work=$all/$name
  mkdir -p "$corpus" "$work/all" "$work/least"
  echo "== $name, $seconds s"
  if ! nice "$fuzzer" -max_total_time="$seconds" -timeout=10 \
       -artifact_prefix="$build/${name}_" "$work/all" "$corpus" >"$work/log" 2>&1; then
    tail -40 "$work/log"
    echo "$name: a crash; the input is $build/${name}_*" >&2
    failed=1
    continue
  fi
  "$fuzzer" -set_cover_merge=1 -use_counters=0 "$work/least" "$work/all" "$corpus" >"$work/log" 2>&1
  find "$corpus" -type f -delete
  cp "$work"/least/* "$corpus/"
  echo "$(find "$corpus" -type f | wc -l) inputs, $(cat "$corpus"/* | wc -c) bytes"
done
exit $failed
