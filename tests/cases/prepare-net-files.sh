#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two adapters in configurations as documentation shows them: by name, by address, by neither but a
# bond's list; in flow style and XML; with names of the guest's own. Names given by the job settle
# which is which, and a second run changes nothing.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
old1=00:50:56:8c:00:01 old2=00:50:56:8c:00:02 new1=52:54:00:aa:bb:01 new2=52:54:00:aa:bb:02
file() { mkdir -p "$(dirname "$work/tree$1")" && printf '%b' "$2" >"$work/tree$1"; }
link() { show "/etc/systemd/network/10-target-worker-$1.link" | sed -n 's/^MACAddress=//p'; }

# change NIC...: prepares, and once more; the first report stays
change()
{
	local nics=() n
	for n; do nics+=(--nic "$n"); done
	status=0
	"$worker" prepare --json "${nics[@]}" "$work/disk" >"$work/again.json" 2>"$work/prepare.log" || status=$?
	[ "$status" = 0 ] || fail "prepare $*: $status, $(jq -c .error "$work/again.json")"
	cp "$work/again.json" "$work/report.json"
	"$worker" prepare --json "${nics[@]}" "$work/disk" >"$work/again.json" 2>"$work/prepare.log"
	jq -e '.plan == [] and .changes == []' "$work/again.json" >"$work/jq.log" ||
		fail "a second run with $*: $(jq -c .plan "$work/again.json")"
}
plain() { phony; rm "$work/tree/etc/network/interfaces"; }

# A bond of ifupdown, whose slaves have no stanzas. By name, against their order.
plain
file /etc/network/interfaces 'auto lo bond0 bond0.5\niface lo inet loopback\niface bond0 inet static\n\taddress 192.0.2.5/24\n\tbond-slaves ens192 ens224\n\tbond-mode active-backup\niface bond0.5 inet dhcp\n\tvlan-raw-device bond0\n'
pack
cp "$work/disk" "$work/bond.disk"
change "$new1=ens224" "$new2=ens192"
is '.warnings | any(test("order")) | not'
[ "$(link ens192)" = "$new2" ] && [ "$(link ens224)" = "$new1" ] || fail "ifupdown: $(link ens192) $(link ens224)"
cp "$work/bond.disk" "$work/disk"
change "$new1=$old1" "$new2=$old2"
is '.warnings | any(test("2 adapters were matched to names by their order"))'
cp "$work/bond.disk" "$work/disk"
change "$new1=ens192" "$new2=ens999"
is '.warnings | any(test("no configuration of the guest speaks of ens999")) and
	any(test("no adapter of the target for ens224"))'
[ "$(link ens192)" = "$new1" ] && [ -z "$(link ens224)" ] || fail "a name that is not in the guest"

# Key files: by the address alone, by name and address; a VLAN over the first. One of two is mapped.
plain
nm=/etc/NetworkManager/system-connections
file $nm/by-mac.nmconnection "[connection]\nid=a\ntype=ethernet\n\n[ethernet]\nmac-address=00:50:56:8C:00:01\n\n[ipv4]\nmethod=auto\n"
file $nm/both.nmconnection "[connection]\nid=b\ntype=ethernet\ninterface-name=ens224\n\n[ethernet]\nmac-address=00:50:56:8C:00:02\n"
file $nm/vlan.nmconnection "[connection]\nid=v\ntype=vlan\ninterface-name=v5\n\n[vlan]\nid=5\nparent=ens224\n"
pack
change "$new1=$old1"
is '.facts.interfaces | map([.name // "", .mac // ""]) == [["ens224", "00:50:56:8c:00:02"], ["", "00:50:56:8c:00:01"]]'
is '.warnings | any(test("no adapter of the target for ens224"))'
is --arg nm $nm '[.plan[] | select(.step == "network") | .path] == [$nm + "/by-mac.nmconnection"]'
show $nm/by-mac.nmconnection | grep -qx "mac-address=${new1^^}" || fail "by the address alone"
show $nm/both.nmconnection | grep -qx 'mac-address=00:50:56:8C:00:02' || fail "another adapter's"

# Flow style, anchors, wicked's XML, a name of the guest's own.
plain
file /etc/netplan/90-flow.yaml "network: {version: 2, renderer: networkd, ethernets: {ens192: {dhcp4: true, match: {macaddress: '$old1'}, set-name: ens192}}}\n"
file /etc/wicked/ifconfig/lan.xml "<interface origin=\"static SCA0\">\n  <name namespace=\"ethernet\"><permanent-address>$old1</permanent-address></name>\n  <ipv4:static><address><local>192.0.2.5/24</local></address></ipv4:static>\n</interface>\n"
file /etc/systemd/network/10-lan0.link "[Match]\nMACAddress=$old2\n[Link]\nName=lan0\n"
file /etc/systemd/network/20-lan.network "[Match]\nName=lan0\n[Network]\nDHCP=yes\n"
pack
is_now() { within "cat .$1" >"$work/text"; grep -q "$2" "$work/text" || fail "$1 has no $2"; }
change "$new2=$old2" "$new1=$old1"
is '.facts.network_stacks == "netplan wicked networkd"'
is '.warnings == []'
is_now /etc/netplan/90-flow.yaml "macaddress: '$new1'}, set-name: ens192}}}"
is_now /etc/wicked/ifconfig/lan.xml "<permanent-address>$new1<"
is_now /etc/systemd/network/10-lan0.link "MACAddress=$new2"
[ "$(link lan0)" = "$new2" ] && [ "$(link ens192)" = "$new1" ] || fail "$(link lan0) $(link ens192)"
prepare --dry-run --nic "$new1=$old1" --address "$old1=dhcp"
is '[.warnings[] | select(test("is not edited"))] | length == 2'
is '[.plan[] | select(.path == "/etc/netplan/90-flow.yaml" or .path == "/etc/wicked/ifconfig/lan.xml")] == []'
