#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hook of the guest that forks, sleeps, reaches for devices, mounts, network and the host's
# processes: it reaches nothing, ends at its time limit, and the guest is as before. What tools
# note down of their root, they see as the guest has it.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

nap=$((100000 + RANDOM)) # seconds, and a number that no other process of this machine has
phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
cat >"$work/tree/etc/initramfs-tools/hooks/hostile" <<END
set +e
echo "pids: \$(ls /proc | grep -c '^[0-9]')"
mount -t tmpfs none /etc && echo "BAD mount"
mknod /var/tmp/disk b 8 0 && dd if=/var/tmp/disk of=/var/tmp/out bs=1 count=1 && echo "BAD disk"
mknod /dev/mem c 1 1 && echo "BAD mem"
mknod /var/tmp/mem c 1 1 && dd if=/var/tmp/mem of=/var/tmp/out bs=1 count=1 && echo "BAD mem node"
rm -f /var/tmp/disk /var/tmp/mem /var/tmp/out
ls "$work" && echo "BAD host tree"
grep -q ' / / [^ ]*nodev' /proc/self/mountinfo || echo "BAD devices on the root"
# dracut would write it down for the root of the guest.
grep ' / / [^ ]*nosuid' /proc/self/mountinfo && echo "BAD options of the root"
echo x >/sys/kernel/uevent_helper && echo "BAD sysfs"
cat /proc/sys/kernel/core_pattern >/tmp/pattern
cat /tmp/pattern >/proc/sys/kernel/core_pattern && echo "BAD core_pattern"
(: >>/proc/sysrq-trigger) && echo "BAD sysrq"
ls /sys/class/net | grep -v '^lo$' && echo "BAD network"
kill -9 $$ && echo "BAD host process"
i=0
for link in /dev/block/*; do [ ! -b "\$link" ] || i=\$((i + 1)); done
echo "its own volumes by number: \$i"
for link in /dev/disk/by-uuid/*; do [ ! -b "\$link" ] || echo "by UUID: \$link"; done
i=0
while [ \$i -lt 200 ]; do sleep $nap & i=\$((i + 1)); done
echo "waiting"
sleep $nap
END
pack
list before
prepare --tool-timeout 15
expect PREP_TIMEOUT 7
if grep BAD "$work/prepare.log"; then fail "the hook got out"; fi
grep -q 'guest: waiting' "$work/prepare.log" || fail "the hook did not run to its end"
grep -q 'guest: its own volumes by number: [1-9]' "$work/prepare.log" || fail "dracut finds nothing below a volume"
grep -Eq 'guest: by UUID: /dev/disk/by-uuid/[0-9a-f]{8}-' "$work/prepare.log" || fail "dracut names devices as on this machine"
if pgrep -f "sleep $nap" >"$work/left"; then fail "processes are left"; fi
list after
same before after "the guest is not as before"
