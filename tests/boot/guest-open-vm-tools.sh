#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# UEFI without a fallback loader, disks by sdX, and open-vm-tools that a metapackage needs: the
# package stays, its services are off, and firmware with blank variables finds the loader. Debian's own
# qemu-guest-agent is supplied with what it needs: it is installed, and answers on its port.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"

# agent COMMAND: what it returned, in $answer. What is written before it has opened its port waits there.
agent()
{
	local line

	echo "{\"execute\":\"$1\"}" >&"${port[1]}"
	read -r -t $((240 * scale / 4)) line <&"${port[0]}" ||
		fail "the agent does not answer to $1: $(tail -n 3 "$vm_run/after/serial.log" | tr -d '\r')"
	echo "$line" >>"$dir/agent.log"
	answer=$(jq -ce .return <<<"$line") || fail "agent: $1: $line"
}

# The agent's own name for its version, with that of the package behind it.
agent_answers()
{
	coproc port { vm_beside socat - "UNIX-CONNECT:$dir/agent.sock"; }
	agent guest-ping
	[ "$answer" = '{}' ] || fail "guest-ping: $answer"
	agent guest-info
	agent_version=$(jq -r .version <<<"$answer")
	[ "$agent_version (Debian $package_version)" = "$file_version" ] ||
		fail "guest-info: version $agent_version, the package's is $file_version"
	agent guest-get-osinfo
	jq -e '.id == "debian"' <<<"$answer" >"$dir/jq.log" || fail "guest-get-osinfo: $answer"
	# shellcheck disable=SC2154 # of coproc
	kill "$port_PID"
}

requires dpkg-deb
packages=$(qemu/guests/packages open-vm-tools qemu-guest-agent)
guest_begin open-vm-tools
deb=("$packages"/qemu-guest-agent_*.deb)
package_version=$(dpkg-deb -f "${deb[0]}" Version)
file_version=$(dpkg-deb --fsys-tarfile "${deb[0]}" | tar -xO ./usr/sbin/qemu-ga |
	grep -aoE 'QEMU Guest Agent [0-9.]+ \(Debian [^)]*\)' | sed 's/^QEMU Guest Agent //' | sort -u)
[ -n "$file_version" ] || fail "${deb[0]}: no version"
guest_before
guest_prepare --packages "$packages"
jq -e '.plan | any(.kind == "install" and (.from | test("qemu-guest-agent_")))' "$dir/report.json" >"$dir/jq.log" ||
	fail "the plan installs no agent: $(jq -c .warnings "$dir/report.json")"
jq -e '.changes | any(.path == "/usr/sbin/qemu-ga" and .change == "added")' "$dir/report.json" >"$dir/jq.log" ||
	fail "no agent was installed: $(jq -c .warnings "$dir/report.json")"
guest_extra=(-device virtio-serial-pci -chardev "socket,id=agent,path=$dir/agent.sock,server=on,wait=off"
	-device "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
guest_while_up=agent_answers
guest_after virtio-blk
guest_said package | grep -qx 'server-meta installed' || fail "packages: $(guest_said package)"
guest_said package | grep -qx 'open-vm-tools installed' || fail "packages: $(guest_said package)"
jq -e '[.changes[].path] | any(test("open-vm-tools.service"))' "$dir/report.json" >"$dir/masked" ||
	fail "nothing switched its service off: $(jq -c '[.changes[].path]' "$dir/report.json")"
guest_end "yes, answers on $address, and its qemu-guest-agent $agent_version from supplied packages"
