#!/bin/bash
# Installs the Debian packages that a task wants: tools/install-deps.sh [demo|test|matrix|docs|bench|abi|coverage]
# Quick, and without root, when everything is there.
set -euo pipefail

demo=(g++ cmake ninja-build cppreference-doc-en-html)
test=("${demo[@]}" binutils ccache libasio-dev libboost-dev libcereal-dev libgmock-dev libgtest-dev
      libssl-dev pkg-config python3 spin valgrind)
docs=(doxygen doxygen-awesome-css graphviz mkdocs-material)
matrix=("${test[@]}" "${docs[@]}" clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev lld-19
        llvm-19)
bench=("${demo[@]}" libboost-dev libtbb-dev openmpi-bin parallel python3 python3-joblib
       python3-mpi4py valgrind)
abi=("${demo[@]}" abigail-tools git)
coverage=("${test[@]}" gcovr)

what=${1:-test}
declare -n packages=$what
command -v dpkg-query >/dev/null ||
  { echo "install-deps: not a Debian system; install what these packages have: ${packages[*]}" >&2; exit 0; }
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing for $what: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  as_root=(sudo)
  command -v sudo >/dev/null ||
    { echo "install-deps: there is no sudo; as root: apt-get install --no-install-recommends ${missing[*]}" >&2; exit 1; }
fi
export DEBIAN_FRONTEND=noninteractive
apt_get=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
# Old lists name packages that are gone from the mirror; only then is the long update worth its time.
"${apt_get[@]}" install -y --no-install-recommends "${missing[@]}" ||
  { "${apt_get[@]}" update && "${apt_get[@]}" install -y --no-install-recommends "${missing[@]}"; }
