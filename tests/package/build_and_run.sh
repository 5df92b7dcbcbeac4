#!/bin/bash
# Builds a project from nothing, then runs a command in the build folder:
# build_and_run.sh <cmake> <source> <build> [cmake options...] -- <command...>
set -euo pipefail
cmake=$1 source=$2 build=$3
shift 3
options=()
while [ "$1" != -- ]; do
  options+=("$1")
  shift
done
shift
# What would tell this build's objects from those that the cache has, of the same compiler, sources
# and flags. (`ctest --build-and-test` would, too: CMake changes its own LC_ALL.)
unset CCACHE_BASEDIR
export CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
rm -rf "$build"
"$cmake" -S "$source" -B "$build" -G Ninja "${options[@]}"
"$cmake" --build "$build"
cd "$build"
exec "$@"
