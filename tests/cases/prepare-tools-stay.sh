#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Tools whose packages cannot be removed, because the attempt fails or nothing here removes them: the
# guest boots, they are switched off in the way of its init system, and the package database is as it
# was. A second run changes nothing, undo brings all back.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

# stays NAME FILTER: prepares; the steps for the tools that took effect; again; undone
stays()
{
	pack
	list before
	prepare
	[ "$status" = 0 ] || fail "$1: exit status $status, $(jq -c .error "$work/report.json")"
	is '.verdict == "boots"'
	is "[.plan[] | select(.step == \"tools\" and .kind != \"purge\") | .kind + \" \" + .path] | sort == $2"
	cp "$work/report.json" "$work/first.json"
	prepare
	is '.verdict == "boots" and .plan == [] and .changes == []'
	prepare --undo
	[ "$status" = 0 ] || fail "$1: undo: exit status $status"
	list undone
	same before undone "$1: undo left a difference"
	cp "$work/first.json" "$work/report.json"
}
as_it_was() { is --arg p "$1" '[.changes[] | select(.path == $p) | .sha256_before == .sha256_after] == [true]'; }
# remover PATH STATUS: a package tool that breaks what it touches and fails
remover()
{
	mkdir -p "$work/tree${1%/*}"
	printf '%s\n' '#!/bin/sh' 'if [ "$1" = -ql ]; then echo /usr/bin/vmtoolsd; exit 0; fi' 'echo "cannot remove: $*"' \
		'rm -f /etc/vmware-tools/tools.conf' 'for f in /var/lib/dpkg/status /var/lib/rpm/Packages; do' \
		'[ ! -f "$f" ] || echo broken >>"$f"; done' "exit $2" >"$work/tree$1"
	chmod 755 "$work/tree$1"
}
# init NAME: in place of systemd
init()
{
	rm -rf "$work"/tree/lib/systemd/systemd "$work"/tree/{lib,etc}/systemd/system/open-vm-tools.service
	mkdir -p "$work/tree/etc/init.d"
	echo 'exit 0' >"$work/tree/etc/init.d/open-vm-tools"
	case $1 in
	openrc)
		touch "$work/tree/sbin/openrc"
		mkdir -p "$work"/tree/etc/runlevels/{boot,default}
		ln -s /etc/init.d/open-vm-tools "$work/tree/etc/runlevels/default/open-vm-tools"
		ln -s /etc/init.d/sshd "$work/tree/etc/runlevels/default/sshd"
		;;
	*)
		touch "$work/tree/etc/inittab"
		mkdir -p "$work"/tree/etc/{rc2.d,rc3.d,rc6.d}
		ln -s ../init.d/open-vm-tools "$work/tree/etc/rc2.d/S03open-vm-tools"
		ln -s ../init.d/open-vm-tools "$work/tree/etc/rc3.d/S03open-vm-tools"
		ln -s ../init.d/open-vm-tools "$work/tree/etc/rc6.d/K03open-vm-tools"
		ln -s ../init.d/open-vm-tools-extra "$work/tree/etc/rc3.d/S03open-vm-tools-extra"
		;;
	esac
}

phony
remover /usr/bin/dpkg 2
stays dpkg '["link /etc/systemd/system/open-vm-tools.service"]'
is '.warnings | any(test("^dpkg --purge open-vm-tools ended with status 2: the packages stay"))'
as_it_was /var/lib/dpkg/status
as_it_was /etc/vmware-tools/tools.conf
is '.facts.tools_left == 0'

phony
rm -r "$work/tree/var/lib/dpkg"
mkdir -p "$work/tree/var/lib/rpm"
echo database >"$work/tree/var/lib/rpm/Packages"
remover /usr/bin/rpm 1
stays rpm '["link /etc/systemd/system/open-vm-tools.service"]'
is '.warnings | any(test("^rpm -e open-vm-tools ended with status 1: the packages stay"))'
as_it_was /var/lib/rpm/Packages

# A script of System V under systemd.
phony
rm "$work"/tree/{lib,etc}/systemd/system/open-vm-tools.service
mkdir -p "$work/tree/etc/init.d"
echo 'exit 0' >"$work/tree/etc/init.d/open-vm-tools"
remover /usr/bin/dpkg 1
stays generated '["link /etc/systemd/system/open-vm-tools.service"]'

phony
init openrc
remover /usr/bin/dpkg 1
stays openrc '["remove /etc/runlevels/default/open-vm-tools"]'

phony
init sysv
remover /usr/bin/dpkg 1
stays sysv '["remove /etc/rc2.d/S03open-vm-tools", "remove /etc/rc3.d/S03open-vm-tools"]'

phony
init upstart
rm -r "$work"/tree/etc/{inittab,rc2.d,rc3.d,rc6.d} "$work/tree/etc/init.d"
mkdir -p "$work/tree/etc/init"
touch "$work"/tree/etc/init/{rc,open-vm-tools}.conf
remover /usr/bin/dpkg 1
stays upstart '["write /etc/init/open-vm-tools.override"]'
[ -z "$(show /etc/init/open-vm-tools.override)" ] || fail "upstart: the override stayed after undo"
