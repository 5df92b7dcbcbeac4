#!/bin/bash
# Installs a build somewhere else than it was configured for: install.sh <cmake> <build> <prefix>
set -euo pipefail
cmake=$1 build=$2 prefix=$3
if grep -E '^PROCPOOL_BUILD_\w+:BOOL=(ON|1|TRUE)' "$build/CMakeCache.txt"; then
  echo "a plain build has more than the library"
  exit 1
fi
rm -rf "$prefix"
"$cmake" --install "$build" --prefix "$prefix" >/dev/null
