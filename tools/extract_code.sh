#!/bin/bash
# Prints the first C++ block of a Markdown page: tools/extract_code.sh <page>
set -euo pipefail
awk '/^```cpp$/ { inside = 1; next } inside && /^```$/ { found = 1; exit } inside
     END { if (!found) { print "no C++ block in " FILENAME > "/dev/stderr"; exit 1 } }' "$1"
