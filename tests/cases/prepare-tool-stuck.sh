#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The storage below a guest stands still while its tool writes: SIGKILL does not reach the tool. The run
# ends with PREP_STUCK and touches nothing of the guest any more; once the storage is back, the next run
# takes back what the first one changed. (Here the file system is frozen: whoever writes waits as well.)
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires fsfreeze nsenter

nap=$((100000 + RANDOM)) # seconds, and a number that no other process of this machine has
phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
cat >"$work/tree/etc/initramfs-tools/hooks/stuck" <<END
echo changed >/etc/motd
echo ready
sleep $nap
while :; do echo more >>/var/tmp/more; done
END
pack
list before
start prepare "$worker" prepare --json --nic "$nic" --tool-timeout 10 "$work/disk"
pid=${started[prepare]}
wait_for 20 grep -q 'guest: ready' "$work/prepare.log"
at=$(sed -n "s|^[^ ]* [^ ]* [^ ]* / \([^ ]*/guest\) .*|\1|p" "/proc/$pid/mountinfo")
[ -n "$at" ] || fail "no mount of the guest: $(cat "/proc/$pid/mountinfo")"
# Holds the file system when all others are gone.
start holder nsenter -t "$pid" -m sh -c 'cd "$1" && exec sleep 100000' sh "$at"
holder=${started[holder]}
in_guest() { [ "$(readlink "/proc/$holder/cwd")" = "$at" ]; }
wait_for 10 in_guest
nsenter -t "$pid" -m fsfreeze -f "$at"
# A worker that waits for ever does not do so here.
start thaw sh -c 'sleep 200; exec nsenter -t "$1" -m fsfreeze -u "/proc/$1/cwd"' sh "$holder"
cleanup_fn "nsenter -t $holder -m fsfreeze -u /proc/$holder/cwd 2>$work/thaw; :"
sleeper=$(pgrep -fx "sleep $nap")
kill "$sleeper"
status=0
wait "$pid" || status=$?
unset "started[prepare]"
grep '^{' "$work/prepare.log" >"$work/report.json"
expect PREP_STUCK 7
is '.warnings | any(test("left as it is"))'
is '[.steps[].step] | any(. == "rollback") | not'
stuck=$(pgrep -f "/etc/initramfs-tools/hooks/[s]tuck" | head -n 1)
[ -z "$stuck" ] || echo "stuck: $(cat "/proc/$stuck/wchan")"
stop thaw -KILL
nsenter -t "$holder" -m fsfreeze -u "/proc/$holder/cwd"
stop holder -KILL
disk_is_free
prepare --tool-timeout 2
expect PREP_TIMEOUT 7
list after
same before after "the guest is not as before"
