#!/bin/bash
# The manual (mkdocs, from docs/) and the reference (Doxygen, from include/) into build/docs. Any
# warning is an error. Neither needs the network, to build or to read.
set -euo pipefail
cd "$(dirname "$0")/.."

rm -rf build/docs
mkdir -p build/docs
if [ -f docs/index.md ]; then
  mkdocs build --quiet --strict --site-dir "$PWD/build/docs"
  rm -f build/docs/Doxyfile  # mkdocs copies whatever lies in docs/
fi
(cat docs/Doxyfile; echo "OUTPUT_DIRECTORY = build/docs") | doxygen -
echo "build/docs/index.html, build/docs/reference/index.html"
