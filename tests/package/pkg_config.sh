#!/bin/bash
# Builds and runs a client without CMake:
# pkg_config.sh <compiler> <install prefix> <output> [source [package]]
set -euo pipefail
compiler=$1 prefix=$2 output=$3
source=${4:-$(dirname "$0")/client/main.cpp} package=${5:-procpool}
folder=$(dirname "$(find "$prefix" -name procpool.pc)")
export PKG_CONFIG_PATH=$folder
for variable in prefix libdir includedir; do
  found=$(realpath "$(pkg-config --variable=$variable procpool)")
  case $found/ in
    "$(realpath "$prefix")"/*) ;;
    *) echo "procpool.pc says that $variable is $found, and lies in $folder"; exit 1 ;;
  esac
done
mkdir -p "$(dirname "$output")"
# Not quoted: pkg-config answers with a list of flags.
"$compiler" -std=c++20 "$source" $(pkg-config --cflags --libs "$package") \
  -Wl,-rpath,"$(pkg-config --variable=libdir procpool)" -o "$output"
"$output"
