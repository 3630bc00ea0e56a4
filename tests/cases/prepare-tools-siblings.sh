#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Packages of tools that belong together go together, as rpm refuses the one without the other. Libraries
# of VMware's own packages that another program needs stay, and so does nothing else; what an installer
# put there, which no package manager knows, goes by its files.
# shellcheck source=tests/cases/prepare-tools-lib.bash
. "$(dirname "$0")/prepare-tools-lib.bash"

# What belongs to it goes along: rpm would refuse the one without the other.
clear_tree redhat
rpm open-vm-tools /usr/bin/vmtoolsd
rpm open-vm-tools-sdmp /usr/lib/open-vm-tools/serviceDiscovery open-vm-tools
rpm not-open-vm-tools-mine /usr/bin/mine
out "rpm's siblings" open-vm-tools "/usr/bin/vmtoolsd /usr/lib/open-vm-tools/serviceDiscovery" /usr/bin/mine

# VMware's own packages, with libraries that another program runs with now.
osp="/usr/lib/vmware-tools/sbin/vmtoolsd /etc/init.d/vmware-tools-services"
clear_tree debian
deb vmware-tools-core "$osp"
deb vmware-tools-libraries-nox /usr/lib/vmware-tools/lib/libicu.so.38
out "dpkg: all" vmware-tools "$osp /usr/lib/vmware-tools/lib/libicu.so.38"
clear_tree debian
deb vmware-tools-core "$osp" vmware-tools-libraries-nox
deb vmware-tools-libraries-nox /usr/share/osp/libicu.so.38
deb report /usr/bin/report "vmware-tools-libraries-nox (>= 8)"
out "dpkg: libraries" vmware-tools "$osp" /usr/share/osp/libicu.so.38 /usr/bin/report
is '.skipped | any(.why == "vmware-tools-libraries-nox: report depends on it, so it stays")'
clear_tree redhat
rpm vmware-tools-core "$osp" vmware-tools-libraries-nox
rpm kmod-vmware-tools-vmci "/usr/lib/modules/5.14.0-427.el9.x86_64/extra/vmci.ko"
rpm vmware-tools-libraries-nox /usr/share/osp/libicu.so.38
rpm report /usr/bin/report vmware-tools-libraries-nox
out "rpm: libraries" vmware-tools "$osp /usr/lib/modules/5.14.0-427.el9.x86_64/extra/vmci.ko" \
	/usr/share/osp/libicu.so.38 /usr/bin/report
is '.warnings | any(test("^rpm -e with the tools. libraries ended with status 1; they stay"))'

# An installer that rpm does not know leaves a link where a package would have a program.
clear_tree redhat
file /opt/VBoxGuestAdditions-7.0.8/sbin/VBoxService
file /var/lib/VBoxGuestAdditions/config
ln -s /opt/VBoxGuestAdditions-7.0.8/sbin/VBoxService "$work/tree/usr/sbin/VBoxService"
out "not of rpm" virtualbox "/opt/VBoxGuestAdditions-7.0.8/sbin/VBoxService /var/lib/VBoxGuestAdditions/config
	/usr/sbin/VBoxService"
is '[.warnings[] | select(test("rpm"))] == []'
