#!/bin/bash
# Adds up build/results/<preset>.xml and ends with "N passed, N failed". A preset without results,
# because it could not even be configured, counts as one failure.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
for preset in "$@"; do
  file=build/results/$preset.xml
  [ -f "$file" ] || { failed=$((failed + 1)); continue; }
  header=$(tr '\n\t' '  ' <"$file" | grep -o '<testsuite [^>]*>' | head -1)
  number() { sed -n "s/.* $1=\"\([0-9]*\)\".*/\1/p" <<<"$header"; }
  failed=$((failed + $(number failures)))
  skipped=$((skipped + $(number skipped) + $(number disabled)))
  passed=$((passed + $(number tests) - $(number failures) - $(number skipped) - $(number disabled)))
done

[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
