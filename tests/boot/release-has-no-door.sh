#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A release image offers no way in: while it does a job nothing listens, the words that open a
# shell in a lab build do nothing, there are no users and no passwords, and keys typed on the
# serial console reach nobody.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/media-lib.bash
. "$(dirname "$0")/media-lib.bash"
boot_begin
media_source
media_job

# The image's own worker, under another name, with a look at the machine while it works.
boot_worker <<'END'
[ "$1" = run ] || exit 0
if [ -n "$TW_LAST_CRASH" ]; then
	echo "after a crash the machine still obeys"
	exit 1
fi
/bin/worker.real run &
while kill -0 $!; do
	cat /proc/net/tcp /proc/net/tcp6 | awk '$4 == "0A" { print "LISTEN", $2 }'
	awk '$2 !~ /:0044$/ && /^ *[0-9]+:/ { print "UDP", $2 }' /proc/net/udp /proc/net/udp6
	for p in /proc/[0-9]*/cmdline; do
		tr '\0' ' ' <"$p" | grep -qE '^(-?sh|ash|getty|login) *$' && echo "SHELL $p"
	done
	seen=1
	sleep 0.2
done
echo "looked $seen"
[ ! -e /etc/passwd ] && [ ! -e /etc/shadow ] && echo "no users"
exit 1
END
printf 'file /bin/worker.real %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 256
qemu_job "$dir/job.json"
qemu_medium kernel "$image" virtio user "tw.debug=1 tw.on_error=shell tw.debug_exit=0xf4" \
	"$dir/overlay.cpio"
qemu_disk "$dir/target.raw,serial=TWTARGET"
qemu_events "$dir/events"
boot_run 120 60 || fail "the machine did not power off"

# Power-off by ACPI, not through the lab's exit port and not held for a shell.
expect_off guest-shutdown
expect_serial '^looked 1'
expect_serial '^no users'
expect_no_serial '^(LISTEN|UDP|SHELL) '
expect_no_serial 'BusyBox v|held for inspection'
cmp "$dir/source.raw" "$dir/target.raw" || fail "the job was not done"
