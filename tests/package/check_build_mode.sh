#!/bin/bash
# What is built otherwise than the library does not compile or link, and hears why:
# check_build_mode.sh <compiler> <include folder> <static library> <output folder>
set -euo pipefail
compiler=$1 include=$2 library=$3 output=$4
mkdir -p "$output"
printf '%s\n' '#include <procpool/errors.hpp>' 'int main() {}' >"$output/program.cpp"
build() {
  "$compiler" -std=c++20 -I "$include" "$output/program.cpp" "$library" "$@" -pthread -ldl \
    -o "$output/program" 2>&1
}
refuses() {
  local message=$1 said
  shift
  if said=$(build "$@"); then
    echo "$* builds"
    exit 1
  fi
  grep -q "$message" <<<"$said" || { echo "$*: $said"; exit 1; }
}
build
refuses build_the_library_with_D_GLIBCXX_DEBUG_as_the_program -D_GLIBCXX_DEBUG
refuses build_the_library_with_D_GLIBCXX_USE_CXX11_ABI_0_as_the_program -D_GLIBCXX_USE_CXX11_ABI=0
refuses 'without -fno-exceptions' -fno-exceptions
refuses 'without -fno-rtti' -fno-rtti
