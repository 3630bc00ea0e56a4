#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every stack's files are tied to the target's addresses, in place and with their modes; names that
# hold an address are renamed; a second run changes nothing, undo brings all back.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

old=00:50:56:8c:00:01
file() { mkdir -p "$(dirname "$work/tree$1")" && printf '%b' "$2" >"$work/tree$1"; }

# --nic of the library would name the same adapter twice, without its old address
prepare_macs() { nic=$nic=$old prepare; }

phony
file /etc/network/interfaces 'auto bond0 bond0.5\niface bond0 inet6 auto\n\tbond-slaves ens192 ens224\n'
file /etc/sysconfig/network-scripts/ifcfg-ens192 'DEVICE=ens192\nHWADDR=00:50:56:8C:00:01\nMASTER=bond0\nSLAVE=yes\n'
file /etc/sysconfig/network-scripts/ifcfg-ens192.bak "HWADDR=$old\n"
file /etc/sysconfig/network/ifcfg-eth-id-$old 'BOOTPROTO=static\nIPADDR=10.0.0.1/24\n'
file /etc/NetworkManager/system-connections/a.nmconnection "[connection]\ninterface-name=ens192\n[ethernet]\nmac-address=00:50:56:8C:00:01\n[ipv6]\nmethod=auto\n"
file /etc/netplan/01.yaml "network:\n  ethernets:\n    ens192:\n      match: {macaddress: '$old'}\n  bonds:\n    bond0:\n      macaddress: $old\n"
file /etc/systemd/network/10.network "[Match]\nMACAddress=$old\n[Network]\nVLAN=v5\n"
file /etc/udev/rules.d/70-persistent-net.rules "ATTR{address}==\"$old\", NAME=\"ens192\"\n"
file /var/lib/connman/ethernet_0050568c0001_cable/settings '[ethernet_0050568c0001_cable]\nIPv4.method=dhcp\n'
chmod 600 "$work"/tree/etc/NetworkManager/system-connections/a.nmconnection \
	"$work"/tree/var/lib/connman/*/settings
pack
list before

prepare_macs
[ "$status" = 0 ] || fail "prepare: exit status $status"
is '.facts.network_stacks == "ifupdown ifcfg networkmanager netplan networkd connman"'
list after
mkdir -p "$work/mnt"
disk_is_free
mount -o ro,noload,loop,offset=1048576 "$work/disk" "$work/mnt"
cleanup_fn "mountpoint -q '$work/mnt' && umount '$work/mnt'"
for path in /etc/sysconfig/network-scripts/ifcfg-ens192 /etc/netplan/01.yaml \
	/etc/NetworkManager/system-connections/a.nmconnection /etc/systemd/network/10.network \
	/etc/udev/rules.d/70-persistent-net.rules; do
	sed "s/$old/$nic/ig" "$work/tree$path" | diff - "$work/mnt$path" || fail "$path"
done
[ "$(stat -c %a "$work/mnt/etc/NetworkManager/system-connections/a.nmconnection")" = 600 ] ||
	fail "NetworkManager would not read the key file"
grep -q "$old" "$work/mnt/etc/sysconfig/network-scripts/ifcfg-ens192.bak" || fail "a backup was changed"
[ ! -e "$work/mnt/etc/sysconfig/network/ifcfg-eth-id-$old" ] || fail "the old ifcfg-eth-id- is there"
grep -q IPADDR "$work/mnt/etc/sysconfig/network/ifcfg-eth-id-$nic" || fail "no ifcfg-eth-id- file"
grep -q '^\[ethernet_525400123456_cable]' "$work/mnt/var/lib/connman/ethernet_525400123456_cable/settings" ||
	fail "connman's service"
[ "$(stat -c %a "$work"/mnt/var/lib/connman/ethernet_525400123456_cable/settings)" = 600 ] || fail "connman's mode"
grep -q "^MACAddress=$nic" "$work/mnt/etc/systemd/network/10-target-worker-ens192.link" || fail ".link"
umount "$work/mnt"

prepare_macs
is '.verdict == "boots" and .plan == [] and .changes == []'
stays_and_goes
