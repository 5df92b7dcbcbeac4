#!/bin/bash
# The shared library shows its interface, what its components call, and nothing else of its inside;
# the static library, of which a process may have several copies, shows its interface alone:
# check_symbols.sh <install prefix>
set -euo pipefail
library=$(find "$1" -name 'libprocpool.so' -o -name 'libprocpool.a' | head -1)
# What procpool::remote calls in the shared library: src/base/component_export.hpp.
component='os::(make_event_fd|signal_event_fd|clear_event_fd|add_private_fd|remove_private_fd'
component+='|identify_fd|close_fd|above_stdio|fill_random|accept_failure_of|lacks_descriptors'
component+='|descriptor_advice|name_this_thread|poll_items|poll_one|this_process)'
component+='|runtime::install_fork_handlers|wire::(encode_exception|decode_exception|origin::here)'
case $library in
  *.so) options=(--dyn-syms) ;;
  *.a) options=(--syms) component='no such function' ;;
  *) echo "no library below $1"; exit 1 ;;
esac
symbols=$(readelf -W "${options[@]}" "$library" |
  awk '$5 != "LOCAL" && $6 == "DEFAULT" && $7 != "UND" {print " " $8}' | c++filt)
grep -q ' procpool::' <<<"$symbols" || { echo "$library shows nothing of procpool"; exit 1; }
inside='base|os|runtime|shm|wire|objects|sync|launch|worker|parent|manager_protocol|remote|main_hook'
if grep -E " procpool::($inside)::" <<<"$symbols" | grep -vE " procpool::($component)[[(]"; then
  echo "these should be hidden"
  exit 1
fi
