#!/bin/bash
# clang-format over all C++ files: tools/format.sh rewrites them, tools/format.sh --check only looks.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run --Werror)
folders=()
for folder in include src components tests examples demo benchmarks; do
  [ ! -d "$folder" ] || folders+=("$folder")
done
find "${folders[@]}" \( -name '*.hpp' -o -name '*.cpp' \) -print0 |
  xargs -0r clang-format-19 "${mode[@]}"
