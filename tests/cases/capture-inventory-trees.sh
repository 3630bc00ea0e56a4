#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server inventory over trees of three machines: an old CentOS on VMware, a Debian on KVM,
# an Alpine on Xen. Then a tree whose names are hostile: the document stays valid JSON with every
# byte accounted for, and the text for people carries no control character.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq python3 iconv
data=tests/data/inventory

inventory() { "$server" inventory --root "$1" "${@:2}"; }

for tree in "$data"/*.tree; do
	name=$(basename "$tree" .tree)
	"$data/unpack" "$tree" "$work/$name"
	# The second byte behind the attributes of a variable; a .tree file holds text only.
	case $name in debian12) printf '\6\0\0\0\1' >"$(find "$work/$name/sys/firmware" -type f)" ;; esac
	inventory "$work/$name" --json | jq -S 'del(.build)' >"$work/$name.json"
	diff -u "$data/$name.json" "$work/$name.json" || fail "$name: not as in $data/$name.json"
done

bad=$work/alpine
printf 'a"b\\c\001\033[31m\377\300\257\355\240\200\360\237\220\247\n' >"$bad/proc/sys/kernel/hostname"
printf 'x\tpart\n' >"$bad/sys/class/net/eth0/operstate"
mkdir -p "$bad/run/openrc/started"
touch "$bad/run/openrc/started/"$'\xfe"}],\n\e[2J'
inventory "$bad" --json >"$work/bad.json"
iconv -f UTF-8 -t UTF-8 "$work/bad.json" >"$work/bad.utf8" || fail "not UTF-8"
got=$(jq -r '.hostname | @json' "$work/bad.json")
want='"a\"b\\c\u0001\u001b[31m������🐧"'
[ "$got" = "$want" ] || fail "the host name is $got, not $want"
[ "$(jq '.services | length' "$work/bad.json")" = 3 ] || fail "the hostile name made another list"
inventory "$bad" >"$work/bad.text"
! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$work/bad.text" || fail "control characters in the text"

# What is not there is null, what is no machine is refused.
(cd "$bad" && rm -r proc/cpuinfo proc/meminfo sys/class/net proc/net sys/block proc/self etc)
inventory "$bad" --json | jq -e '.memory.bytes == null and .os.name == null and .drives == [] and
	.nics == [] and .filesystems == []' >"$work/jq.log" || fail "$(cat "$work/jq.log")"
status=0
inventory "$work" --json >"$work/none.json" 2>"$work/none.log" || status=$?
[ $status = 2 ] || fail "status $status without /proc, not 2"
[ ! -s "$work/none.json" ] || fail "a document about no machine"
