#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Undo goes back through the last migration's preparations, and not through those of an earlier one,
# after which the guest was running. Their order is that of their numbers, not of a clock.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

state=/var/lib/target-worker
journals() { within 'cd .'$state' && echo [0-9]*'; }

# A preparation of an earlier version, by a clock that was far ahead.
phony
mkdir -p "$work/tree$state/20990101T000000Z/files"
printf '127.0.0.1 of-old\n' >"$work/tree$state/20990101T000000Z/files/1"
cat >"$work/tree$state/20990101T000000Z/journal" <<'END'
{"op":"saved","path":"/etc/hosts","type":"file","backup":"files/1","mode":420,"uid":0,"gid":0,"mtime":1,"mtime_ns":0}
{"op":"end","what":"applied"}
END
echo 127.0.0.1 of-today >"$work/tree/etc/hosts"
pack
list first

# Two preparations in one migration.
prepare
[ "$status" = 0 ] || fail "first: exit status $status"
prepare --console serial
[ "$status" = 0 ] && is '.changes != []' || fail "second: exit status $status"
[ "$(journals)" = "000001 000002 20990101T000000Z" ] || fail "folders: $(journals)"
cp "$work/disk" "$work/twice"
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list undone
grep -v 20990101T000000Z/journal "$work/first" >"$work/expected"
grep -v 20990101T000000Z/journal "$work/undone" >"$work/rest"
same expected rest "undo of two preparations left a difference"
prepare --undo
expect PREP_UNDO 7
is '.error.text | test("20990101T000000Z is of an earlier migration")'
list again
same undone again "an undo too many changed something"

# The clone was running, and is migrated once more, to another adapter.
mv "$work/twice" "$work/disk"
change 'echo 127.0.0.1 of-tomorrow >etc/hosts; echo boot >>var/log/wtmp
	echo "# mine" >>boot/grub/grub.cfg'
list second
"$worker" prepare --json --nic 52:54:00:12:34:57 "$work/disk" >"$work/report.json" 2>"$work/prepare.log" ||
	fail "third: exit status $?"
is '.changes != []'
prepare --undo
[ "$status" = 0 ] || fail "undo of the second migration: exit status $status"
list undone
grep -v '/000002/journal' "$work/second" >"$work/expected"
grep -v '/000002/journal' "$work/undone" >"$work/rest"
same expected rest "undo of the second migration left a difference"
prepare --undo
expect PREP_UNDO 7
prepare --undo --earlier --edited keep
[ "$status" = 0 ] || fail "undo of the first migration: exit status $status"
[ "$(journals)" = "20990101T000000Z" ] || fail "folders: $(journals)"
within 'grep -q of-tomorrow etc/hosts && grep -q "# mine" boot/grub/grub.cfg' || fail "a later change is lost"
