#!/bin/bash
# Loads a plug-in whose file is not there any more when its pool is made:
# lose_plugin.sh <host> <removed or replaced> <plug-in> <copy> <message>
set -euo pipefail
host=$1 how=$2 plugin=$3 copy=$4 message=$5
cp "$plugin" "$copy"
if output=$("$host" spawn "$how" "$copy" 2>&1); then
  echo "the plug-in has its pool"
  exit 1
fi
echo "$output"
grep -q "^plug-in 1: .*$message $copy" <<<"$output"
