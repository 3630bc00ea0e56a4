#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guest tools that no package manager knows: VMware's archive by its own list of files, VirtualBox,
# Parallels and Nutanix by where they put things. Nothing of them is left, files that their lists name but that are
# the guest's stay, repositories of VMware's tools are off, and undo brings all of it back.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

put()
{
	local file

	for file; do
		mkdir -p "$work/tree${file%/*}"
		[ -e "$work/tree$file" ] || echo "$file" >"$work/tree$file"
	done
}

phony
tree=$work/tree
rm -rf "$tree/etc/vmware-tools" "$tree"/{etc,lib}/systemd/system/open-vm-tools.service "$tree/usr/bin/vmtoolsd"
sed -i '/^Package: open-vm-tools/,/^$/d' "$tree/var/lib/dpkg/status"
tools=(/usr/sbin/vmware-toolbox /usr/lib/vmware-tools/sbin/vmtoolsd /etc/init.d/vmware-tools
	"/lib/modules/$kernel/misc/vmci.ko" /etc/modprobe.d/vmware-tools.conf /etc/vmware-tools/tools.conf
	/opt/VBoxGuestAdditions-7.0.8/bin/VBoxClient /opt/VBoxGuestAdditions-7.0.8/uninstall.sh
	/var/lib/VBoxGuestAdditions/config /etc/udev/rules.d/60-vboxadd.rules "/lib/modules/$kernel/misc/vboxguest.ko"
	/usr/lib/parallels-tools/install /usr/lib/parallels-tools/version /etc/modprobe.d/parallels.conf
	/usr/local/nutanix/ngt/python/bin/uninstall_ngt.py /etc/init.d/ngt_guest_agent)
own=(/usr/lib/vmware-is-mine/data /usr/local/bin/ngt-own /etc/modules /usr/src/linux/file /etc/modprobe.d/own.conf /opt/own/vm
	/usr/sbin/vm-taken-back)
put "${tools[@]}" "${own[@]}"
mkdir -p "$tree/etc/rc2.d"
ln -s ../init.d/vmware-tools "$tree/etc/rc2.d/S03vmware-tools"
ln -s ../init.d/ngt_guest_agent "$tree/etc/rc2.d/S99ngt_guest_agent"
cat >"$tree/etc/vmware-tools/locations" <<END
answer SBINDIR /usr/sbin
directory /usr/sbin
file /usr/sbin/vmware-toolbox 1700000000
file /etc/init.d/vmware-tools
file /lib/modules/$kernel/misc/vmci.ko
file /etc/modules
file /etc/fstab
file /boot/initrd.img-$kernel
file /etc/../etc/hostname-vm
file /usr/sbin/vm-taken-back
remove_file /usr/sbin/vm-taken-back
file /usr/sbin/vmware-gone
END
mkdir -p "$tree"/etc/{yum.repos.d,zypp/repos.d,apt/sources.list.d}
printf '[tools]\nname=Tools\nbaseurl=http://packages.vmware.com/tools/esx/6.0/rhel6/x86_64\nenabled=1\n[own]\nbaseurl=http://mirror.example.com/own\nenabled=1\n' |
	tee "$tree/etc/yum.repos.d/vmware.repo" >"$tree/etc/zypp/repos.d/vmware.repo"
printf '[photon]\nbaseurl=https://packages.vmware.com/photon/5.0\nenabled=1\n' >"$tree/etc/yum.repos.d/photon.repo"
printf 'deb http://packages.vmware.com/tools/esx/6.0/ubuntu trusty main\ndeb http://mirror.example.com/debian stable main\n' \
	>"$tree/etc/apt/sources.list.d/vmware.list"
mkdir -p "$tree/etc/X11/xorg.conf.d" "$tree/usr/lib/xorg/modules/drivers"
printf 'Section "Device"\n\tDriver "vmware"\nEndSection\n' | tee "$tree/etc/X11/xorg.conf" \
	>"$tree/etc/X11/xorg.conf.d/10-card.conf"
touch "$tree/usr/lib/xorg/modules/drivers/vesa_drv.so"
pack
inspect
is '.facts.tools == "vmware-tools virtualbox parallels nutanix"'
list before
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '.verdict == "boots" and .facts.tools_left == 0'
list after
for file in "${tools[@]}" /etc/rc2.d/S03vmware-tools /etc/rc2.d/S99ngt_guest_agent /etc/vmware-tools \
	/usr/local/nutanix /opt/VBoxGuestAdditions-7.0.8; do
	if grep -q "^\.$file " "$work/after"; then fail "$file is left"; fi
done
for file in "${own[@]}" /etc/fstab /boot/initrd.img-$kernel; do
	grep -q "^\.$file " "$work/after" || fail "$file is gone: it belongs to the guest"
done
for dir in /etc/yum.repos.d /etc/zypp/repos.d; do
	show "$dir/vmware.repo" >"$work/repo"
	[ "$(grep '^enabled' "$work/repo")" = $'enabled=0\nenabled=1' ] || fail "$dir: $(cat "$work/repo")"
done
for file in xorg.conf xorg.conf.d/10-card.conf; do
	show "/etc/X11/$file" >"$work/xorg"
	grep -q 'Driver "vesa"' "$work/xorg" || fail "X would look for VMware's card: $file"
done
show /etc/yum.repos.d/photon.repo | grep -q '^enabled=1' || fail "Photon's own repository is off"
[ "$(show /etc/apt/sources.list.d/vmware.list | grep -c '^deb')" = 1 ] || fail "apt's repository is on"
prepare
is '.plan == [] and .facts.tools == ""'
prepare --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
list undone
same before undone "undo left a difference"

# Without a driver that fits it is only told.
rm "$tree/usr/lib/xorg/modules/drivers/vesa_drv.so"
pack
inspect
is '[.plan[] | select(.step == "display")] == []'
is '[.warnings[] | select(test("^/etc/X11/.* names a driver for the old hypervisor.s display"))] | length == 2'

# What looks like a trap is not walked into: nothing is changed.
deep=$tree/usr/lib/vmware-tools
for _ in {1..30}; do deep+=/d; done
mkdir -p "$deep"
pack
list before
prepare
expect PREP_TOOLS 7
is '.error.text | test("/usr/lib/vmware-tools/d/.*: too deep$")'
list after
same before after "tools that cannot be listed: the guest was changed"
