#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that is killed takes a guest's program with it, and all that this has started.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires gcc pgrep

nap=$((100000 + RANDOM)) # seconds, and a number that no other process of this machine has
phony
hostile
printf 'hostile daemons %s\nsleep %s\n' "$nap" "$nap" >"$work/tree/etc/initramfs-tools/hooks/daemons"
pack
start prepare "$worker" prepare --nic "$nic" "$work/disk"
sleeping() { [ "$(pgrep -fc "[s]leep $nap")" -ge 5 ]; }
wait_for 20 sleeping
stop prepare -KILL
gone() { ! pgrep -f "[s]leep $nap" >"$work/left"; }
wait_for 10 gone
