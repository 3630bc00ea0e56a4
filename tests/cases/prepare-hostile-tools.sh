#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tools of a guest that are hostile programs: they leave their group and session, stop themselves, send
# signals to everybody, are deaf to all signals: each ends at its limit, and the guest is as before. Those
# that leave processes of all kinds behind, or print without end, end well, and nothing is left of them.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires gcc pgrep

nap=$((100000 + RANDOM)) # seconds, and a number that no other process of this machine has
phony
hostile
gone() { ! pgrep -f "[s]leep $nap" >"$work/left" || fail "$1: processes are left: $(cat "$work/left")"; }

mv "$work/tree/usr/sbin/update-initramfs" "$work/tool"
for how in group stop deaf; do
	printf '#!/bin/sh\nexec /bin/hostile stay %s %s\n' "$how" "$nap" >"$work/tree/usr/sbin/update-initramfs"
	chmod +x "$work/tree/usr/sbin/update-initramfs"
	pack
	list before
	prepare --tool-timeout 3
	expect PREP_TIMEOUT 7
	grep -q 'guest: stays\|guest: left its group' "$work/prepare.log" ||
		fail "$how: the tool did not run: $(tail -n 3 "$work/prepare.log")"
	! grep 'could not all' "$work/prepare.log" || fail "$how: the rollback had to fight"
	gone "$how"
	list after
	same before after "$how: the guest is not as before"
done

mv "$work/tool" "$work/tree/usr/sbin/update-initramfs"
cat >"$work/tree/etc/initramfs-tools/hooks/daemons" <<END2
hostile daemons $nap
hostile flood 8
echo "zombies: \$(grep -l '^State:.Z' /proc/[0-9]*/status | wc -l)"
END2
pack
prepare
[ "$status" = 0 ] || fail "daemons: exit status $status, $(jq -c .error "$work/report.json")"
is '.verdict == "boots"'
gone daemons
grep -q 'guest: the rest of the output is left out' "$work/prepare.log" || fail "the log takes everything"
[ "$(stat -c %s "$work/prepare.log")" -lt 1000000 ] || fail "the log has $(stat -c %s "$work/prepare.log") bytes"
