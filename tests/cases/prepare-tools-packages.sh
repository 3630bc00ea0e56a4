#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each tool of the table that comes in packages, by dpkg and by rpm: the package goes with its files and
# services, whatever its distribution calls it. Hyper-V's daemons stay.
# shellcheck source=tests/cases/prepare-tools-lib.bash
. "$(dirname "$0")/prepare-tools-lib.bash"

# one SYSTEM TOOL PACKAGE FILE UNIT...: of one package
one()
{
	local system=$1 tool=$2 package=$3 files=$4 unit

	clear_tree "$system"
	for unit in "${@:5}"; do files+=" $lib/systemd/system/$unit"; done
	$kind "$package" "$files"
	out "$system $package" "$tool" "$files"
}
one debian virtualbox virtualbox-guest-utils /usr/sbin/VBoxService virtualbox-guest-utils.service
one debian xen xe-guest-utilities /usr/sbin/xe-daemon xe-daemon.service xe-linux-distribution.service
one debian ovirt ovirt-guest-agent /usr/share/ovirt-guest-agent/ovirt-guest-agent.py ovirt-guest-agent.service
one debian azure walinuxagent /usr/sbin/waagent walinuxagent.service
one debian nutanix nutanix-guest-agent /usr/local/nutanix/ngt/python/bin/uninstall_ngt.sh ngt_guest_agent.service
one redhat azure python-azure-agent /usr/sbin/waagent waagent.service
one redhat xen xe-guest-utilities-latest /usr/sbin/xe-daemon xe-linux-distribution.service
one redhat ovirt ovirt-guest-agent-common /usr/share/ovirt-guest-agent/ovirt-guest-agent.py ovirt-guest-agent.service
one redhat virtualbox virtualbox-guest-tools /usr/bin/VBoxService vboxservice.service

for system in debian redhat; do
	clear_tree $system
	$kind hyperv-daemons /usr/sbin/hypervkvpd
	out "$system hyperv" hyper-v "" /usr/sbin/hypervkvpd
	is '.skipped | any(.why == "hyperv-daemons stays: it starts on its own hypervisor only")'
done

# Nutanix's own installer and its package put the same files there: where no package manager knows of
# them, and on guests with rpm, the files go.
for system in debian redhat; do
	clear_tree $system
	files=/usr/local/nutanix/ngt/python/bin/uninstall_ngt.py
	files+=" /etc/init.d/ngt_guest_agent"
	for f in $files; do file "$f"; done
	out "$system: installer of Nutanix" nutanix "$files"
done
