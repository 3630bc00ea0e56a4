#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A site that has IPv6 only: with an address from router advertisements, and with a static one whose
# gateway leads to the source, a whole job goes through. Without a router NET_DHCP says so.
[ "$(id -u)" = 0 ] || { echo "needs root: a network of its own"; exit 77; }
[ -e /proc/net/if_inet6 ] || { echo "needs IPv6 in the kernel"; exit 77; }
if [ -z "${TW_IN_NAMESPACE:-}" ]; then
	exec env TW_IN_NAMESPACE=1 unshare --net --mount --pid --fork --kill-child "$0" "$@"
fi
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
# shellcheck source=tests/cases/job-network-lib.bash
. "$(dirname "$0")/job-network-lib.bash"
requires nbdkit nsenter jq python3

# The far end is another machine: a network namespace of its own. The source is at its second
# address, which is reached through it as a router only.
mount -t proc proc /proc # of this process namespace
network_root
start far unshare --net sleep 600
far=${started[far]}
other_net() { [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
wait_for 10 other_net
ip link set peer netns "$far"
far() { nsenter --net="/proc/$far/ns/net" "$@"; }
# Else its neighbour advertisements say that it is no router, and the route through it goes.
far sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
far ip link set lo up
far ip -6 addr add 2001:db8::1/64 dev peer nodad
far ip -6 addr add 2001:db8:ffff::1/128 dev lo
far ip link set peer up

make_disk "$work/sda" 2 1
start nbd nsenter --net="/proc/$far/ns/net" nbdkit -f -r -e sda -p 5994 -i 2001:db8:ffff::1 \
	file "$work/sda"
serves() { far ss -Hltn 'sport = :5994' | has .; }
wait_for 10 serves

# over NETWORK
over() {
	rm -f "$root/tmp/target" "$root/tmp/result.json"
	cat >"$root/tmp/job.json" <<-END
		{"version": 1, "migration": "m-1", "mode": "full", "network": [$1],
		 "source": {"url": "nbd://[2001:db8:ffff::1]:5994", "stall_s": 20}, "prepare": false,
		 "drives": [{"source": "sda", "target": {"device": "/tmp/target"}, "target_state": "pristine"}]}
	END
	status=0
	timeout 100 chroot "$root" /bin/worker run --network --job /tmp/job.json \
		--result /tmp/result.json >"$work/run.log" 2>&1 || status=$?
	cp "$root/tmp/result.json" "$work/result.json" || fail "no result"
}

over "{\"mac\": \"$mac\", \"slaac\": true, \"timeout_s\": 5}"
expect failed NET_DHCP 3
grep -q 'no IPv6 router advertisement' "$work/run.log" || fail "$(tail -n 2 "$work/run.log")"
network_down

start router nsenter --net="/proc/$far/ns/net" python3 tests/cases/job-ra-server.py peer 2001:db8::
over "{\"mac\": \"$mac\", \"slaac\": true}"
expect success NONE 0
cmp "$work/sda" "$root/tmp/target"
grep -q 'NET eth0 52:54:00:00:00:01 .*2001:db8::5054:ff:fe00:1/64' "$work/run.log" ||
	fail "no line about it: $(grep NET "$work/run.log")"
stop router
network_down

over "{\"mac\": \"$mac\", \"address6\": \"2001:db8::5/64\", \"gateway6\": \"2001:db8::1\"}"
expect success NONE 0
cmp "$work/sda" "$root/tmp/target"
ip -6 route | has '^default via 2001:db8::1 dev eth0' || fail "no route"
