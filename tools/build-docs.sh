#!/bin/bash
# The manual (mkdocs, from docs/) and the reference (Doxygen, from the public headers): tools/build-docs.sh
# [folder], by default build/docs. Any warning is an error, and so is a link that leads nowhere.
# Neither needs the network, to build or to read.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-build/docs}
rm -rf "$out"
mkdir -p "$out"
# It tells what it does; only what it warns of is of interest.
mkdocs build --strict --site-dir "$(realpath "$out")" >"$out.log" 2>&1 ||
  { grep -v '^INFO' "$out.log"; exit 1; }
rm -f "$out/Doxyfile" "$out/reference.dox"  # mkdocs copies whatever lies in docs/
(cat docs/Doxyfile; echo "OUTPUT_DIRECTORY = \"$out\""; echo "GENERATE_TAGFILE = \"$out.tags\"") |
  doxygen -
python3 -B tools/link_manual.py "$out" "$out.tags"
tools/check_links.py "$out" docs ./*.md
echo "$out/index.html, $out/reference/index.html; with the search of the manual: python3 -m http.server -d $out"
