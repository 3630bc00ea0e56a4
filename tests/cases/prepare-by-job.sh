#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a job says of the preparation reaches the guest, and not only the parser: adapters, addresses,
# cloud-init, labels, consoles, scripts, tools that stay, the dry run, undo, the rehearsal.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires dmsetup
config=/etc/cloud/cloud.cfg.d/99-target-worker.cfg
old_mac=00:50:56:8c:00:01
within=()

# by_job PREPARE [FILTER]: mode prepare, with the key prepare, and the document changed by a filter.
by_job()
{
	jq -n --arg disk "$work/disk" --argjson prepare "$1" "{version: 1, migration: \"m-1\",
		mode: \"prepare\", drives: [{target: {device: \$disk}}], prepare: \$prepare,
		finish: \"poweroff\"} | ${2:-.}" >"$work/job.json"
	status=0
	"${within[@]}" "$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 ||
		status=$?
	jq '.prepare // {}' "$work/result.json" >"$work/report.json"
}
done_well() { [ "$status" = 0 ] || fail "$1: exit status $status, $(jq -c .err "$work/result.json")"; }

phony
touch "$work/tree/usr/bin/apt-get"
mkdir -p "$work"/tree/etc/cloud/cloud.cfg.d "$work"/tree/var/lib/cloud/instances/i-0a \
	"$work"/tree/etc/selinux/targeted/contexts/files "$work/tree/usr/sbin"
ln -s /var/lib/cloud/instances/i-0a "$work/tree/var/lib/cloud/instance"
printf 'network: {config: disabled}\nmanual_cache_clean: true\n' >"$work/tree$config"
touch "$work/tree/usr/sbin/load_policy"
printf 'SELINUX=enforcing\nSELINUXTYPE=targeted\n' >"$work/tree/etc/selinux/config"
printf 'auto lo ens192\niface lo inet loopback\niface ens192 inet static\n  address 10.9.8.7/24\n  hwaddress %s\n' \
	"$old_mac" >"$work/tree/etc/network/interfaces"
pack
list before

wishes=$(jq -n --arg old "$old_mac" --arg new "$nic" '{nvram: false, remove_tools: false,
	network: {($old): $new}, addresses: {ens192: "192.0.2.9/25,192.0.2.1,192.0.2.53"},
	cloud_init_anew: true, relabel: true, console: "serial", guest_agent: "install", tool_timeout_s: 60}')
scripts='.extensions = [{when: "mounted", run: "echo inside >/etc/by-job; echo said\n"},
	{when: "first-boot", run: "echo later\n", fatal: false}]'

by_job "$(jq '.dry_run = true' <<<"$wishes")" "$scripts"
done_well "dry run"
is '.verdict == "boots-after-preparation" and .changes == []'
list after
same before after "a dry run changed the disk"

by_job "$wishes" "$scripts"
done_well prepare
is '.verdict == "boots"'
show /etc/network/interfaces >"$work/interfaces"
grep -qx '	address 192.0.2.9' "$work/interfaces" && grep -qx '	gateway 192.0.2.1' "$work/interfaces" ||
	fail "addresses: $(cat "$work/interfaces")"
grep -q "hwaddress $nic" "$work/interfaces" || fail "network: $(cat "$work/interfaces")"
show /etc/systemd/network/10-target-worker-ens192.link | grep -qx "MACAddress=$nic" || fail "network: link file"
is '.warnings | any(test("order")) | not'
show /boot/grub/grub.cfg | grep -q ' console=tty0 console=ttyS0,115200' || fail "console"
is --arg c "$config" '.changes | any(.path == $c and .change == "removed")'
is '.changes | any(.path == "/.autorelabel" and .change == "added")'
is '[.extensions[] | [.when, .status, .output]] == [["mounted", 0, "said\n"]]'
[ "$(show /etc/by-job)" = inside ] || fail "extensions: mounted"
show /usr/lib/target-worker-first-boot/01 | grep -qx 'echo later' || fail "extensions: first-boot"
is '[.plan[] | select(.step == "tools")] == []'
show /usr/lib/target-worker-first-boot/90-agent | grep -q 'apt-get -y install qemu-guest-agent' || fail guest_agent

change 'chmod 600 etc/network/interfaces'
by_job '{"nvram": false, "undo": true}'
[ "$status" = 7 ] && [ "$(jq -r .code "$work/result.json")" = PREP_EDITED ] ||
	fail "undo of what was edited: exit status $status, $(jq -c .err "$work/result.json")"
is '.edited == [{path: "/etc/network/interfaces", change: "changed"}]'
by_job '{"nvram": false, "undo": true, "edited": "restore"}'
done_well undo
list after
same before after "undo left a difference"

by_job '{"nvram": false}' '.extensions = [{when: "mounted", run: "echo x >/etc/by-job; exit 5\n"}]'
[ "$status" = 7 ] && [ "$(jq -r .code "$work/result.json")" = PREP_EXTENSION ] ||
	fail "a fatal script: exit status $status, $(jq -c .err "$work/result.json")"
list after
same before after "a fatal script left a difference"

mkdir "$work/packages"
touch "$work/packages/qemu-guest-agent_1_amd64.deb"
by_job "{\"nvram\": false, \"dry_run\": true, \"guest_agent\": \"install\", \"packages\": {\"device\": \"$work/packages\"}}"
done_well packages
is '.plan | any(.kind == "install" and .from == "qemu-guest-agent_1_amd64.deb")'

# It needs the kernel's device-mapper; boot/job-prepare-tool has that. No node of it says as little as
# a node without a driver behind it.
no_mapper()
{
	[ "$status" = 7 ] || fail "$1: exit status $status"
	jq -e '.err.text | test("rehearse.*device-mapper")' "$work/result.json" >"$work/jq.log" ||
		fail "$1: $(jq -c .err "$work/result.json")"
}
# shellcheck disable=SC2016 # for that shell
within=(unshare -m sh -ec 'mkdir -p /dev/mapper; mount -t tmpfs none /dev/mapper; $1; shift; exec "$@"' -)
within+=(true)
by_job '{"nvram": false, "rehearse": true}'
no_mapper "rehearse without a node"
within[-1]='mknod /dev/mapper/control c 10 236'
by_job '{"nvram": false, "rehearse": true}'
if dmsetup version >"$work/dmsetup.log" 2>&1; then
	done_well rehearse
	is '.verdict == "boots" and .rehearsal.memory_bytes > 0'
else
	no_mapper rehearse
fi
list after
same before after "a rehearsal changed the disk"
