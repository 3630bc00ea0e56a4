#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A fixed IPv4 address becomes DHCP and DHCP a fixed address, in the files of every stack as
# tests/data/golden/addresses says; a second run changes nothing, undo brings all back; what cannot
# be edited is named and left. GOLDEN=write writes the golden file.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

old=00:50:56:8c:00:01
to=ens192=10.9.0.5/23,10.9.0.1,10.9.0.53,10.9.1.53
file() { mkdir -p "$(dirname "$work/tree$1")" && printf '%b' "$2" >"$work/tree$1"; }
files=(/etc/network/interfaces /etc/sysconfig/network-scripts/ifcfg-ens192
	/etc/sysconfig/network-scripts/ifcfg-eth9 /etc/sysconfig/network/ifcfg-ens192
	/etc/sysconfig/network/routes /etc/sysconfig/network/config
	/etc/NetworkManager/system-connections/a.nmconnection /etc/netplan/01.yaml
	/etc/systemd/network/10.network /var/lib/connman/a.config
	/var/lib/connman/ethernet_525400123456_cable/settings)

phony
file /etc/network/interfaces '# by hand\nauto lo ens192\niface lo inet loopback\n\niface ens192 inet static\n\taddress 192.168.7.5\n\tnetmask 255.255.255.0\n\tgateway 192.168.7.1\n\tmtu 9000\n\tup ip route add 10.1.0.0/16 via 192.168.7.2\niface ens192 inet static\n\taddress 192.168.7.6/24\niface ens192 inet6 static\n\taddress 2001:db8::5/64\n\tgateway 2001:db8::1\n'
file /etc/sysconfig/network-scripts/ifcfg-ens192 'DEVICE=ens192\nBOOTPROTO=static\nONBOOT=yes\nIPADDR0=192.168.7.5\nPREFIX0=24\nGATEWAY=192.168.7.1\nDNS1=192.168.7.53\nDNS2=2001:db8::53\nIPV6ADDR=2001:db8::5/64\n'
file /etc/sysconfig/network-scripts/ifcfg-eth9 'DEVICE=eth9\nBOOTPROTO=none\nIPADDR=192.168.9.5\nPREFIX=24\n'
file /etc/sysconfig/network/ifcfg-ens192 "BOOTPROTO='static'\nSTARTMODE='auto'\nIPADDR='192.168.7.5/24'\nIPADDR_1='2001:db8::5/64'\n"
file /etc/sysconfig/network/routes 'default 192.168.7.1 - -\ndefault 2001:db8::1 - -\n10.1.0.0/16 192.168.7.2 - -\n'
file /etc/sysconfig/network/config '# all adapters\nNETCONFIG_DNS_STATIC_SERVERS="192.168.7.53"\nNETCONFIG_DNS_POLICY="auto"\n'
file /etc/NetworkManager/system-connections/a.nmconnection "[connection]\nid=a\ninterface-name=ens192\n\n[ipv4]\naddress1=192.168.7.5/24,192.168.7.1\ndns=192.168.7.53;\nmethod=manual\nroute1=10.1.0.0/16,192.168.7.2\n\n[ipv6]\naddress1=2001:db8::5/64\nmethod=manual\n"
file /etc/netplan/01.yaml 'network:\n  version: 2\n  ethernets:\n    eth8:\n      addresses: [192.168.8.5/24]\n    ens192:\n      # by hand\n      match:\n        macaddress: "00:50:56:8c:00:01"\n      addresses:\n      - 192.168.7.5/24\n      - "2001:db8::5/64"\n      gateway4: 192.168.7.1\n      nameservers: {search: [example.test], addresses: [192.168.7.53, "2001:db8::53"]}\n      routes:\n        - to: default\n          via: 192.168.7.1\n        - to: 10.1.0.0/16\n          via: 192.168.7.2\n      mtu: 9000\n  vlans:\n    v5:\n      id: 5\n      link: ens192\n      dhcp4: false\n'
file /etc/systemd/network/10.network "[Match]\nMACAddress=$old\n\n[Network]\nDHCP=ipv6\nAddress=192.168.7.5/24\nAddress=2001:db8::5/64\nDNS=192.168.7.53\nVLAN=v5\n\n[Route]\nGateway=192.168.7.1\n\n[Route]\nDestination=10.1.0.0/16\nGateway=192.168.7.2\n"
file /var/lib/connman/a.config '[service_a]\nType=ethernet\nDeviceName=ens192\nIPv4=192.168.7.5/255.255.255.0/192.168.7.1\nIPv6=auto\n'
file /var/lib/connman/ethernet_0050568c0001_cable/settings '[ethernet_0050568c0001_cable]\nName=Wired\nIPv4.method=manual\nIPv4.netmask_prefixlen=24\nIPv4.local_address=192.168.7.5\nIPv4.gateway=192.168.7.1\nIPv6.method=auto\n'
pack

texts()
{
	local path
	for path in "${files[@]}"; do
		echo "== $1 $path"
		show "$path"
	done
}
# The adapter by the name in one run and by an address in the others: one result.
convert() { nic=$nic=$old prepare "$@"; [ "$status" = 0 ] || fail "prepare $*: $status, $(jq -c .error "$work/report.json")"; }

convert --address ens192=dhcp
texts dhcp >"$work/golden"
show /etc/sysconfig/network-scripts/ifcfg-eth9 | grep -q IPADDR=192.168.9.5 || fail "another adapter was changed"
list after
for who in "$old" "$nic"; do
	convert --address "$who=dhcp"
	is '.plan == [] and .changes == []'
done
list again
same after again "a second run changed something"
convert --address "$nic=${to#*=}"
texts fixed >>"$work/golden"
list after
convert --address "$to"
is '.plan == [] and .changes == []'
list again
same after again "a second run changed something"
convert --address all=dhcp
show /etc/sysconfig/network-scripts/ifcfg-eth9 | grep -q BOOTPROTO=dhcp || fail "not all adapters"
show /etc/netplan/01.yaml | grep -A1 eth8: | grep -q 'dhcp4: true' || fail "not all adapters of netplan"
show /etc/network/interfaces | grep -q 'iface lo inet loopback' || fail "lo"

if [ "${GOLDEN:-}" = write ]; then
	cp "$work/golden" tests/data/golden/addresses
fi
diff -u tests/data/golden/addresses "$work/golden" >"$work/golden.log" || fail "not as tests/data/golden/addresses"

# Undone from one run.
pack
list before
convert --address "$to"
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list undone
same before undone "undo left a difference"

# What is not edited is named.
file /etc/netplan/01.yaml 'network: {ethernets: {ens192: {addresses: [192.168.7.5/24]}}}\n'
pack
convert --dry-run --address ens192=dhcp --address eth7=dhcp
is '.warnings | any(startswith("/etc/netplan/01.yaml speaks of ens192 in a form that is not edited"))'
is '.warnings | any(startswith("no IPv4 configuration of eth7"))'
is '[.plan[].path] | index("/etc/netplan/01.yaml") == null'
for bad in ens192 ens192=10.0.0.5 ens192=10.0.0.5/33 ens192=10.0.0.5/24,x all=10.0.0.5/24 ens192=fe80::1/64; do
	prepare --address "$bad"
	[ "$status" = 2 ] || [ "$status" = 3 ] || fail "--address $bad: exit status $status"
done
