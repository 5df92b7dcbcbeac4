#!/bin/bash
# Builds and runs the tests with coverage, and writes build/coverage/html/index.html: tools/coverage.sh [ctest arguments]
# Workers end with _exit and write what they covered before: os::leave_process sees to it. What a killed worker covered is lost.
set -uo pipefail
cd "$(dirname "$0")/.."

build=build/coverage
jobs=${JOBS:-$(nproc)}
cmake --preset coverage >/dev/null || exit 1
cmake --build "$build" -j "$jobs" -- -k 0 || exit 1
find "$build" -name '*.gcda' -delete
ctest --preset coverage -j "$((2 * jobs))" "$@"
status=$?
mkdir -p "$build/html"
gcovr --root . --object-directory "$build" --filter 'src/' --filter 'include/' --filter 'components/' --exclude-throw-branches \
  --exclude-directories '.*CompilerId.*' \
  --html-details "$build/html/index.html" --print-summary || exit 1
exit $status
