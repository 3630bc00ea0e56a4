#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An administrator changed files after the preparation. Undo takes nothing back before it is told what
# becomes of them; it keeps them and takes the rest back, or takes all back. What the preparation saved
# and did not change, and what it knows nothing of, is never in question.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires chattr

link=etc/systemd/network/10-target-worker-ens192.link
edit()
{
	change '
		echo "server:/data /data nfs defaults 0 0" >>etc/fstab
		rm boot/grub/grub.cfg
		chmod 600 etc/default/grub
		echo "# mine" >>'$link'
		echo theirs >usr/bin/vmtoolsd
		echo mine >etc/systemd/network/20-mine.network
		echo "# mine" >>etc/systemd/system/mine.service
		echo 10.0.0.1 other >>etc/hosts'
}
# only PATH...: the disk differs from what it was in these paths alone.
only()
{
	LC_ALL=C comm -3 "$work/before" "$work/undone" | grep -o '\./[^ ]*' | sort -u >"$work/only"
	printf './%s\n' "$@" | sort | diff - "$work/only" >"$work/diff.log" ||
		fail "other paths differ, or too few"
}

phony
echo unit >"$work/tree/etc/systemd/system/mine.service"
echo localhost >"$work/tree/etc/hosts"
pack
list before
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status"
edit
cp "$work/disk" "$work/edited.disk"
list edited

prepare --undo
expect PREP_EDITED 7
is '.error.text | test("^5 paths were changed after the preparation: /boot/grub/grub.cfg, /etc/default/grub, ")'
is '[.edited[] | .path + " " + .change] | sort == ["/boot/grub/grub.cfg removed",
	"/etc/default/grub changed", "/etc/fstab changed", "/'$link' changed", "/usr/bin/vmtoolsd added"]'
list undone
same edited undone "a refused undo changed something"

prepare --undo --edited keep
[ "$status" = 0 ] || fail "keep: exit status $status"
is '.verdict == "undone" and (.warnings | any(test("^5 paths were changed")))'
list undone
only boot/grub/grub.cfg etc/default/grub etc/fstab etc/hosts etc/systemd/network \
	etc/systemd/network/20-mine.network $link etc/systemd/system/mine.service usr/bin/vmtoolsd
within 'grep -q "^UUID=" etc/fstab && grep -q server: etc/fstab && grep -q mine '$link' &&
	[ "$(cat usr/bin/vmtoolsd)" = theirs ]' || fail "a later change is lost"

mv "$work/edited.disk" "$work/disk"
change 'chattr +i '$link
prepare --undo --edited restore
[ "$status" = 0 ] || fail "restore: exit status $status"
is '.edited | length == 5'
list undone
only etc/hosts etc/systemd/network etc/systemd/network/20-mine.network etc/systemd/system/mine.service

prepare --edited keep
[ "$status" = 2 ] || fail "--edited without --undo: exit status $status"
