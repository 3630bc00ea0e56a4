#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker that is stuck in the kernel outlives SIGKILL: nothing feeds the watchdog then, and the
# machine's own one (i6300ESB) resets it, and the next start is told. The worker hangs in a write to a
# frozen file system.
# waits
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires mke2fs gcc
boot_begin

gcc -static -Os -o "$dir/freeze" -x c - <<'END'
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
int main(int argc, char **argv)
{
	int fd = open(argv[argc - 1], O_RDONLY);

	return fd < 0 || ioctl(fd, FIFREEZE, 0) < 0;
}
END
truncate -s 16M "$dir/disk.raw"
mke2fs -q -F -t ext4 "$dir/disk.raw"
boot_worker <<'END'
if [ -n "$TW_LAST_RESET" ]; then
	echo "second start, reset by the $TW_LAST_RESET"
	tell finish poweroff
	exit 0
fi
mkdir /mnt
mount -t ext4 /dev/vda /mnt && /bin/freeze /mnt || { echo "not frozen"; tell finish poweroff; exit 0; }
echo "frozen"
tell allow 3
: >/mnt/stuck
END
printf 'file /bin/freeze %s 0755 0 0\n' "$dir/freeze" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 128
qemu_disk "$dir/disk.raw"
qemu+=(-device i6300esb -action watchdog=reset)
for i in "${!qemu[@]}"; do
	[ "${qemu[i]}" != -no-reboot ] || unset "qemu[i]"
done
qemu=("${qemu[@]}")
boot_kernel
# 3 s of allowance, 30 s to die, 60 s of the watchdog; nothing moves meanwhile.
boot_idle='the worker makes no progress, ending it'
boot_run 240 200 || fail "the machine was not reset"

expect_off guest-shutdown
expect_serial '^second start, reset by the watchdog'
expect_serial 'watchdog: i6300ESB timer, 60 s'
expect_serial '^frozen'
expect_serial 'the worker makes no progress, ending it'
expect_no_serial 'the worker failed'
jq -es 'any(.event == "WATCHDOG" and .data.action == "reset")' "$dir/boot/qmp.log" >"$dir/jq.log" ||
	fail "QEMU saw no watchdog: $(tail -n 3 "$dir/boot/qmp.log")"
