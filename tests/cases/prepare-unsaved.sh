#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A tool of the guest changes, removes and adds files that nobody expects, then fails: what was added
# goes, and what cannot be brought back is named. When it succeeds, the same paths are in changes[].
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

hook()
{
	phony
	mkdir -p "$work/tree/etc/initramfs-tools/hooks"
	echo 127.0.0.1 localhost >"$work/tree/etc/hosts"
	echo gone >"$work/tree/etc/gone"
	cat >"$work/tree/etc/initramfs-tools/hooks/odd" <<-END
		echo 10.0.0.1 other >>/etc/hosts
		rm /etc/gone
		mkdir /etc/added && echo new >/etc/added/file
		exit $1
	END
	pack
}

hook 1
prepare
expect PREP_INITRD 7
is '.warnings | any(test("^/etc/hosts was changed by a tool")) and any(test("^/etc/gone was removed by a tool"))'
is '.warnings | any(test("not as it was: 2 paths"))'
list after
if grep -q '/etc/added' "$work/after"; then fail "what the tool added is left"; fi

hook 0
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '[.changes[] | select(.path | test("^/etc/(hosts|gone|added)")) | .change] == ["added", "added", "removed", "changed"]'
is '.warnings | any(test("^/etc/hosts was changed by a tool"))'
