#!/bin/bash
# A copy of procpool in a plug-in has all functions that the shared library has, but for internal
# ones that a shared library shows to its components, and shares none of its variables:
# check_copies.sh <shared library> <plug-in>...
set -euo pipefail
library=$1
shift
names() { nm -D --defined-only "$1" | awk -v types="$2" 'index(types, $2) { print $3 }' | c++filt; }
for plugin in "$@"; do
  missing=$(comm -23 <(names "$library" TBDR | sort -u) <(names "$plugin" TBDRWV | sort -u) |
    grep '^procpool::' | grep -vE '^procpool::(os|runtime|wire)::' || true)
  [ -z "$missing" ] || { echo "$plugin lacks parts; src/main/all_parts.cpp:"; echo "$missing"; exit 1; }
  names "$plugin" TW | grep '^procpool::' >/dev/null || { echo "$plugin has no copy"; exit 1; }
  shared=$(nm -C "$plugin" | grep ' u ' | grep 'procpool::' || true)
  [ -z "$shared" ] || { echo "$plugin: one for all copies in a process:"; echo "$shared"; exit 1; }
done
