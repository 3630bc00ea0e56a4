#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which of two systems legacy GRUB starts: by the number of its default entry, written with a blank, a tab or an
# equals sign, or the number that it saved itself; without one, the first.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

# The second system has no loader; the first one's menu has both.
phony
rm "$work/tree/boot/grub/grub.cfg"
uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0003 pack
mv "$work/disk" "$work/second"
entry() { # TITLE DISK
	printf 'title %s\n\troot (hd0,0)\n\tkernel /boot/vmlinuz-%s root=/dev/%s1 ro quiet\n\tinitrd /boot/initrd.img-%s\n' \
		"$1" $kernel "$2" $kernel
	printf '\tsavedefault\n'
}
# chosen DEFAULT-LINE WHICH [SAVED]
chosen()
{
	rm -f "$work/tree/boot/grub/default"
	printf '# default 7\n%b\ntimeout 5\n#default 1\n%s\n%s\n' "$1" "$(entry First sda)" "$(entry Other sdb)" \
		>"$work/tree/boot/grub/menu.lst"
	[ $# = 2 ] || printf '%s\0\n# saved\n' "$3" >"$work/tree/boot/grub/default"
	pack
	status=0
	wait_for 20 eval '! losetup -j "$work/second" | grep -q .'
	"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" || status=$?
	[ "$status" = 0 ] || fail "$1: exit status $status, $(jq -c .error "$work/report.json")"
	is --argjson n "$2" '[.facts.systems[].chosen] == [$n == 0, $n == 1]'
}
chosen 'default 1' 1
chosen 'default\t\t1' 1
chosen 'default=1' 1
chosen 'default 0' 0
chosen 'hiddenmenu' 0
chosen 'default saved' 1 1
chosen 'default saved' 0 0
chosen 'default saved' 0
