#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bringing the network up, in a network namespace with the image's own programs in a chroot:
# static IPv4 and IPv6, a gateway outside the network, no route to the source, an IPv6 address by
# router advertisement, DHCP with and without an answer, an adapter that is not there or has no cable.
# Each job ends at its source, which nobody serves: past NET, or with NET's own code.
[ "$(id -u)" = 0 ] || { echo "needs root: a network of its own"; exit 77; }
[ -e /proc/net/if_inet6 ] || { echo "needs IPv6 in the kernel"; exit 77; }
if [ -z "${TW_IN_NAMESPACE:-}" ]; then
	exec env TW_IN_NAMESPACE=1 unshare --net --mount --pid --fork --kill-child "$0" "$@"
fi
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

# shellcheck source=tests/cases/job-network-lib.bash
. "$(dirname "$0")/job-network-lib.bash"

network_root
ip addr add 10.9.0.1/24 dev peer
ip -6 addr add 2001:db8::1/64 dev peer nodad
ip link set peer up

# net SECONDS NETWORK-ARRAY: runs a job with it; sets status.
net() {
	cat >"$root/tmp/job.json" <<-END
		{"version": 1, "migration": "m-1", "mode": "full", "network": $2,
		 "source": {"url": "nbd://${peer:-10.9.0.1}:5994"}, "prepare": false,
		 "drives": [{"source": "a", "target": {"device": "/tmp/target"}}]}
	END
	status=0
	timeout "$1" chroot "$root" /bin/worker run --network --job /tmp/job.json \
		--result /tmp/result.json >"$work/run.log" 2>&1 || status=$?
	cp "$root/tmp/result.json" "$work/result.json" || fail "no result"
}

net 100 "[{\"mac\": \"$mac\", \"address\": \"10.9.0.5/24\", \"gateway\": \"10.9.0.1\",
	\"address6\": \"2001:db8::5/64\", \"gateway6\": \"2001:db8::9\",
	\"dns\": [\"10.9.0.1\"], \"mtu\": 1400}]"
expect failed SRC_CONNECT 4
ip addr show dev eth0 >"$work/addr.log"
grep -q 'mtu 1400 .*state UP' "$work/addr.log" || fail "mtu"
grep -q 'inet 10.9.0.5/24 brd 10.9.0.255' "$work/addr.log" || fail "IPv4"
grep -q 'inet6 2001:db8::5/64' "$work/addr.log" || fail "IPv6"
ip route | has '^default via 10.9.0.1 dev eth0' || fail "IPv4 route"
ip -6 route | has '^default via 2001:db8::9 dev eth0' || fail "IPv6 route"
grep -qx 'nameserver 10.9.0.1' "$root/etc/resolv.conf" || fail "resolv.conf"
network_down

# A gateway that this network does not have, and a source that is nowhere without one.
net 100 "[{\"mac\": \"$mac\", \"address\": \"10.9.0.5/24\", \"gateway\": \"192.0.2.1\"}]"
expect failed NET_STATIC 3
grep -q 'NET_STATIC: network\[0\]: eth0: default route by 192.0.2.1: ' "$work/run.log" ||
	fail "the gateway is not named"
network_down
peer=198.51.100.7 net 100 "[{\"mac\": \"$mac\", \"address\": \"10.9.0.5/24\"}]"
expect failed NET_ROUTE 3
grep -q 'NET_ROUTE: drives\[0\].source a: .*198.51.100.7:5994: Network is unreachable ' "$work/run.log" ||
	fail "the address is not named"
network_down

net 100 "[{\"mac\": \"$mac\", \"dhcp\": true, \"timeout_s\": 6}]"
expect failed NET_DHCP 3
network_down

start dhcp python3 tests/cases/job-dhcp-server.py peer 10.9.0.1 10.9.0.77
wait_for 5 grep -q ready "$work/dhcp.log"
net 100 "[{\"mac\": \"$mac\", \"dhcp\": true, \"dns\": [\"10.9.0.2\"]}]"
expect failed SRC_CONNECT 4
ip addr show dev eth0 | has 'inet 10.9.0.77/24' || fail "DHCP address"
ip route | has '^default via 10.9.0.1 dev eth0' || fail "DHCP route"
grep -q '^nameserver 10.9.0.1 ' "$root/etc/resolv.conf" || fail "DHCP name server"
grep -qx 'nameserver 10.9.0.2' "$root/etc/resolv.conf" || fail "name server of the job"
kill -0 "$(cat "$root/run/udhcpc.eth0.pid")" || fail "nobody renews the lease"
grep -q 'NET eth0 52:54:00:00:00:01 .*10.9.0.77/24' "$work/run.log" || fail "no line about it"
network_down

# Nobody advertises a prefix; then a router does.
net 100 "[{\"mac\": \"$mac\", \"slaac\": true, \"timeout_s\": 3}]"
expect failed NET_DHCP 3
network_down
start router python3 tests/cases/job-ra-server.py peer 2001:db8:7::
wait_for 5 grep -q ready "$work/router.log"
# The address is used at once: it has to be past duplicate address detection.
ip -6 addr add 2001:db8:7::1/64 dev peer nodad
peer='[2001:db8:7::1]' net 100 "[{\"mac\": \"$mac\", \"slaac\": true}]"
expect failed SRC_CONNECT 4
grep -q 'SRC_CONNECT: .*Connection refused' "$work/run.log" || fail "the source was not reached"
ip -6 addr show dev eth0 | has 'inet6 2001:db8:7:.*scope global' || fail "SLAAC address"
ip -6 route | has '^default via fe80::.* dev eth0' || fail "SLAAC route"
stop router
network_down

net 100 '[{"mac": "52:54:00:00:00:99", "dhcp": true, "timeout_s": 1}]'
expect failed NET_NO_LINK 3
ip link set peer down
net 100 "[{\"mac\": \"$mac\", \"address\": \"10.9.0.5/24\", \"timeout_s\": 1}]"
expect failed NET_NO_LINK 3
grep -q 'no carrier' "$work/run.log" || fail "the carrier is not named"
ip link set peer up
network_down

# One adapter of two gets no answer: the other one is up, and the controller is told.
mac2=52:54:00:00:00:02
ip link add eth1 address $mac2 type veth peer name peer1
ip link set peer1 up
boss
cat >"$work/job.json" <<-END
	{"version": 1, "migration": "m-1", "mode": "full", "network": [
	 {"mac": "$mac", "address": "10.9.0.5/24"}, {"mac": "$mac2", "dhcp": true, "timeout_s": 4}],
	 "source": {"url": "nbd://10.9.0.1:5994"}, "prepare": false,
	 "drives": [{"source": "a", "target": {"device": "/tmp/target"}}]}
END
boss_job
cp "$work/job.json" "$root/tmp/job.json"
status=0
timeout 100 chroot "$root" /bin/worker run --network --job /tmp/job.json \
	--result /tmp/result.json >"$work/run.log" 2>&1 || status=$?
cp "$root/tmp/result.json" "$work/result.json"
expect failed NET_DHCP 3
told NET_DHCP
