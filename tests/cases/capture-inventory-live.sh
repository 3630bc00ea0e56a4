#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server inventory of this very machine agrees with lsblk, ip, findmnt, df and uname, and
# starts no program.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq lsblk ip findmnt df strace

"$server" inventory --json >"$work/inventory.json"
is() { # WHAT FILTER EXPECTED
	local got
	got=$(jq -r "$2" "$work/inventory.json")
	[ "$got" = "$3" ] || fail "$1: $got, another tool says $3"
}
is "host name" .hostname "$(hostname)"
is kernel .kernel.release "$(uname -r)"
is "processors" .cpu.count "$(getconf _NPROCESSORS_ONLN)"
is memory .memory.bytes "$(($(awk '/^MemTotal/ { print $2 }' /proc/meminfo) * 1024))"
is system .os.id "$(. /etc/os-release && echo "$ID")"
is drives '[.drives[] | "\(.name) \(.size) \(.sector)"] | sort | join("\n")' \
	"$(lsblk -bdnro NAME,SIZE,LOG-SEC -e 1,7,9,11,43,251,252,253 | awk '$2' | sort)"
is partitions '[.drives[].partitions[] | "\(.name) \(.size)"] | sort | join("\n")' \
	"$(lsblk -bnro NAME,SIZE,TYPE -e 1,7,9,11,43 | awk '$3 == "part" { print $1, $2 }' | sort)"
is adapters '[.nics[] | "\(.name) \(.mac) \(.mtu)"] | sort | join("\n")' \
	"$(ip -j link | jq -r '[.[] | select(.link_type == "ether") | "\(.ifname) \(.address) \(.mtu)"] | sort | join("\n")')"
is addresses '[.nics[] | .name as $n | .addresses[] | "\($n) \(.)"] | sort | join("\n")' \
	"$(ip -j address | jq -r '[.[] | select(.ifname != "lo") | .ifname as $n | .addr_info[] |
		select(.scope != "link") | "\($n) \(.local)/\(.prefixlen)"] | sort | join("\n")')"
is "default route" '[.routes[] | select(.to == "default" and (.via | contains("."))) | .via] | first // ""' \
	"$(ip -j -4 route show default | jq -r '[.[].gateway] | first // ""')"
is "root file system" '.filesystems[] | select(.path == "/") | "\(.type) \(.device) \(.size)"' \
	"$(findmnt -nro FSTYPE,MAJ:MIN /) $(df -B1 --output=size / | tail -n 1 | tr -d ' ')"

# Not one program is run for it, and nothing is written.
# The leak checker cannot work in a program that is traced.
ASAN_OPTIONS=detect_leaks=0 strace -f -e trace=execve,openat,open -o "$work/strace" "$server" inventory \
	>"$work/text"
[ "$(grep -c 'execve(' "$work/strace")" = 1 ] || fail "programs were run: $(grep execve "$work/strace")"
! grep -E 'O_WRONLY|O_RDWR' "$work/strace" || fail "files were opened for writing"
grep -q "^hostname: $(hostname)$" "$work/text" || fail "the text does not show the host name"
