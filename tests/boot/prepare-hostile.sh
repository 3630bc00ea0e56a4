#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hostile tools of a guest in the image. What the job came by (SMBIOS, fw_cfg, the kernel command line)
# shows in no file that a hook of a UEFI guest can read; it reaches no device, socket, key of the kernel
# or other disk; all of it is in a control group. A tool that takes all memory ends with NOMEM, a fork bomb
# with PREP_TASKS, one that leaves its group with PREP_TIMEOUT, and the machine goes on.
# limit: 1200
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

secret=secret-$RANDOM$RANDOM-of-this-job
uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0001
esp_uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0002
nap=123456
stack_tree
gcc -static -no-pie -O2 -Wall -Wextra -Werror -o "$dir/tree/bin/hostile" tests/data/hostile.c
hooks=$dir/tree/etc/initramfs-tools/hooks
mkdir -p "$hooks"

# disk NAME: of the tree with its hooks
disk() { tests/data/phony-disk "$dir/tree" "$dir/$1.disk" 64; }
echo 'echo "hog: begins"; hostile hog' >"$hooks/hostile"
disk hog
printf 'echo "bomb: begins"\nbomb() { bomb | bomb & }\nbomb\nsleep %s\n' $nap >"$hooks/hostile"
disk bomb
mv "$dir/tree/usr/sbin/update-initramfs" "$dir/tool"
printf '#!/bin/sh\nexec /bin/hostile stay group %s\n' $nap >"$dir/tree/usr/sbin/update-initramfs"
chmod +x "$dir/tree/usr/sbin/update-initramfs"
disk stay
mv "$dir/tool" "$dir/tree/usr/sbin/update-initramfs"

# A UEFI guest. Its ESP is ext2, which is all the same to the worker.
tr -- ' -}' '!-~' <<<"$secret" >"$dir/tree/root/texts"
cat >"$hooks/hostile" <<END
echo "group: \$(cat /proc/self/cgroup)"
ls /sys/firmware | sed 's/^/firmware: /'
mkdir -p /var/tmp/nodes
hostile calls
hostile nodes /var/tmp/nodes /run /tmp /dev/shm /dev
hostile sockets
for f in /proc/sysrq-trigger /proc/sys/kernel/sysrq /proc/sys/vm/panic_on_oom /sys/kernel/rcu_expedited \
	/sys/block/vdb/queue/read_ahead_kb /sys/power/state /sys/bus/pci/rescan; do
	(echo c >\$f) && echo "BAD \$f"
done
ls /sys/fs/cgroup | grep . && echo "BAD cgroup"
hostile daemons $nap
hostile search /root/texts
hostile flood 4
rm -r /var/tmp/nodes
END
mkdir -p "$dir/tree/boot/efi" "$dir/esp/EFI/debian"
echo "UUID=$esp_uuid /boot/efi ext2 umask=0077 0 1" >>"$dir/tree/etc/fstab"
sed -i 's|/dev/sda1|/dev/sda2|' "$dir/tree/etc/fstab" "$dir/tree/boot/grub/grub.cfg" "$dir/tree/etc/default/grub"
for name in shimx64 grubx64; do echo "$name" >"$dir/esp/EFI/debian/$name.efi"; done
truncate -s 80M "$dir/uefi.disk"
printf 'label: gpt\nstart=2048,size=8192,type=uefi\nstart=10240,size=147456,type=linux\n' | sfdisk -q "$dir/uefi.disk"
mke2fs -q -F -t ext2 -U "$esp_uuid" -d "$dir/esp" -E offset=1048576,root_owner=0:0 "$dir/uefi.disk" 4096
mke2fs -q -F -t ext4 -U "$uuid" -d "$dir/tree" -E offset=5242880,root_owner=0:0 "$dir/uefi.disk" 73728
head -c 1M /dev/urandom >"$dir/other.disk"

stack_worker <<END
alive() { ps -o args | grep -q '[s]leep $nap\|[h]ostile'; }
# It is there to be found:
check "no SMBIOS" grep -q "$secret" /sys/firmware/dmi/tables/DMI
check "no fw_cfg" grep -q "$secret" /sys/firmware/qemu_fw_cfg/by_name/opt/org.example.marker/raw
check "no command line" grep -q "$secret" /proc/cmdline
before=\$(sum /dev/vdb)
printf '%s' "$secret" >/run/key
want 0 uefi prepare --json --nic 52:54:00:12:34:56 --key 0000-0000=/run/key /dev/vda
check "another disk was changed" [ "\$before" = "\$(sum /dev/vdb)" ]
want 9 hog prepare --json --nic 52:54:00:12:34:56 /dev/vdc
want 7 bomb prepare --json --nic 52:54:00:12:34:56 /dev/vdd
want 7 stay prepare --json --tool-timeout 5 --nic 52:54:00:12:34:56 /dev/vde
if alive; then fail "processes are left"; fi
check "groups are left" [ -z "\$(ls -d /sys/fs/cgroup/target-worker* 2>/dev/null)" ]
END
qemu_machine 256
qemu+=(-smbios "type=11,value=$secret" -fw_cfg "name=opt/org.example.marker,string=$secret")
for name in uefi other hog bomb stay; do qemu_disk "$dir/$name.disk"; done
stack_append=tw.marker=$secret
stack_run

is uefi '.verdict == "boots" and .facts.firmware == "uefi"'
sed -n 's/.*guest: //p' "$dir/out/uefi.err" >"$dir/said"
said() { grep -qE "$1" "$dir/said" || fail "the tool does not say: $1"; }
said '^searched [0-9]{3,} files$'
said '^group: 0::/target-worker-'
said '^firmware: dmi'
said '^32-bit programs are held, too$'
! grep BAD "$dir/said" || fail "the tool has a way out"
is hog '.error.code == "NOMEM" and (.error.text | test("needed more memory"))'
grep -q 'guest: hog: begins' "$dir/out/hog.err" || fail "the hog did not run"
is bomb '.error.code == "PREP_TASKS"'
grep -q 'guest: bomb: begins' "$dir/out/bomb.err" || fail "the bomb did not go off"
is stay '.error.code == "PREP_TIMEOUT"'
for name in hog bomb stay; do is $name '.changes == [] and .verdict == "does-not-boot"'; done
