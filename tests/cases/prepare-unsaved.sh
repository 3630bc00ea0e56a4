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
is '[.unsaved[] | .path + " " + .change] | sort == ["/etc/gone removed", "/etc/hosts changed"]'
is '[.warnings[] | select(test("2 paths .*cannot be taken back by undo: /etc/gone \\(removed\\), /etc/hosts \\(changed\\)$"))] | length == 1'
is '.warnings | any(test("not as it was: 2 paths"))'
list after
if grep -q '/etc/added' "$work/after"; then fail "what the tool added is left"; fi

hook 0
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '[.changes[] | select(.path | test("^/etc/(hosts|gone|added)")) | .change] == ["added", "added", "removed", "changed"]'
is '.unsaved | length == 2'

# Many of them are one warning.
phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks" "$work/tree/etc/many"
for n in {1..12}; do echo "$n" >"$work/tree/etc/many/$n"; done
echo 'for f in /etc/many/*; do echo more >>"$f"; done' >"$work/tree/etc/initramfs-tools/hooks/odd"
pack
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '(.unsaved | length == 12) and ([.warnings[] | select(test("^12 paths .*see unsaved in the report$"))] | length == 1)'
is '[.warnings[] | select(test("/etc/many"))] | length == 1'
