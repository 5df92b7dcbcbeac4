#!/bin/bash
# Compares the shared library of this tree with the one of another commit: tools/check_abi.sh [tag or commit]
# Without an argument: with the last release, and before the first release there is nothing to compare.
# Ends with 0 where programs that were linked with the other run with this one, by the word of abidiff.
set -euo pipefail
cd "$(dirname "$0")/.."

base=${1:-$(git describe --tags --abbrev=0 --match 'v*' HEAD^ 2>/dev/null || true)}
if [ -z "$base" ]; then
  echo "check_abi: git knows no release (a tag v*), so there is nothing to compare with; make abi BASE=<commit> names a commit"
  exit 0
fi
commit=$(git rev-parse --verify --quiet "$base^{commit}") || { echo "check_abi: no commit is named $base" >&2; exit 2; }
jobs=${JOBS:-$(nproc)}

build() {  # source tree, build folder
  cmake -S "$1" -B "$2" -G Ninja -DBUILD_SHARED_LIBS=ON -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -g" \
    >"$2.log" || { cat "$2.log"; exit 2; }
  cmake --build "$2" -j "$jobs" --target procpool
}

mkdir -p build/abi
rm -rf build/abi/base  # of a run that was killed
git worktree add --quiet --force --detach build/abi/base "$commit"
trap 'git worktree remove --force build/abi/base' EXIT
build build/abi/base build/abi/base-build
build . build/abi/build
status=0
abidiff --headers-dir1 build/abi/base/include --headers-dir2 include --drop-private-types \
  build/abi/base-build/libprocpool.so build/abi/build/libprocpool.so || status=$?
# abidiff: 1 error, 2 usage, 4 something differs, 8 and it is incompatible
case $status in
  0) echo "check_abi: nothing differs from $base" ;;
  4) echo "check_abi: only additions since $base, or what needs a look at the report above"; status=0 ;;
  *) echo "check_abi: the binary interface of $base is broken" ;;
esac
exit $status
