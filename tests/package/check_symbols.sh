#!/bin/bash
# The shared library shows its interface and nothing of its inside: check_symbols.sh <install prefix>
set -euo pipefail
library=$(find "$1" -name 'libprocpool.so' | head -1)
symbols=$(nm -DC --defined-only "$library")
grep -q ' procpool::' <<<"$symbols" || { echo "$library shows nothing of procpool"; exit 1; }
if grep -E ' procpool::(base|os|shm|wire|sync|launch|remote|worker|parent)::' <<<"$symbols"; then
  echo "these should be hidden"
  exit 1
fi
