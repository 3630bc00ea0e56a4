#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hook of the guest that doubles its processes is ended by their number, long before its time limit,
# with all of them; the guest is as before.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

nap=$((100000 + RANDOM)) # seconds, and a number that no other process of this machine has
phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
# Two to the power of ten at the most: a worker without the limit leaves the machine usable.
cat >"$work/tree/etc/initramfs-tools/hooks/bomb" <<END
bomb()
{
	[ "\$1" -gt 0 ] || exec sleep $nap
	bomb \$((\$1 - 1)) &
	bomb \$((\$1 - 1)) &
	wait
}
echo "bomb: begins"
bomb 10
END
pack
list before
prepare --tool-timeout 100
expect PREP_TASKS 7
grep -q 'guest: bomb: begins' "$work/prepare.log" || fail "the hook did not run: $(tail -n 3 "$work/prepare.log")"
is '.error.text | test("too many processes")'
if pgrep -f "sleep $nap" >"$work/left"; then fail "processes are left"; fi
list after
same before after "the guest is not as before"
