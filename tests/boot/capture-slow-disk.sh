#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An LVM volume on a slow disk, with more in memory than the disk writes in a minute: a copy catches a
# snapshot of it, and the volume is never found suspended for longer than moments, nor at the end. lvm used
# to be killed after a minute in the middle of that, and the volume stayed suspended for ever. One that is
# left suspended all the same, by an lvm that was killed from outside, is resumed by the next start.
# limit: 1800
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

mkdir -p "$dir/tree"
echo early >"$dir/tree/when"
stack_image "$dir/root.img" 40
truncate -s 120M "$dir/a.disk"

stack_worker <<'END'
log=/tmp/server.log
soon() {
	text=$1; shift
	for i in $(seq 400); do
		"$@" && return
		[ $((i % 20)) != 0 ] || echo "wait: $text"
		sleep 1
	done
	cat $log
	fail "$text"
}
volume() { basename "$(readlink -f /dev/vg/thick)"; }
suspended() { cat /sys/class/block/dm-*/dm/suspended | grep -q 1; }
caught() { grep -q 'drive thick: snapshot 1' $log; }
up() {
	: >$log
	/bin/source-server --drive thick=/dev/vg/thick --grace 15 --listen 127.0.0.1:5994 --allow-plain --verbose >>$log 2>&1 &
	server=$!
	soon "source-server does not listen" grep -q "listening on" $log
}
mkdir -p /tmp /mnt/thick
check pvcreate lvm pvcreate -q /dev/vda
check vgcreate lvm vgcreate -q -s 1M vg /dev/vda
check thick lvm lvcreate -q -y -L 40M -n thick vg
dd if=/dev/vdb of=/dev/vg/thick bs=1M
sync
up
check mount mount -t ext4 /dev/vg/thick /mnt/thick
# All of it stays in memory until somebody asks for it.
echo 90 >/proc/sys/vm/dirty_ratio
echo 90 >/proc/sys/vm/dirty_background_ratio
echo 360000 >/proc/sys/vm/dirty_expire_centisecs
echo 360000 >/proc/sys/vm/dirty_writeback_centisecs
dd if=/dev/urandom of=/mnt/thick/much bs=1M count=26 2>/tmp/dd.log || fail "dd: $(cat /tmp/dd.log)"
dirty=$(awk '/^(Dirty|Writeback):/ { n += $2 } END { print n }' /proc/meminfo)
echo "dirty: $dirty kB"
[ $dirty -gt 14000 ] || fail "only $dirty kB are to be written: this test shows nothing"
/bin/tw copy --allow-plain --json --connections 1 --bandwidth 64K tw://127.0.0.1:5994/thick /tmp/thick.copy \
	>/mnt/out/slow.json 2>/mnt/out/slow.err &
copy=$!
begin=$(cut -d. -f1 /proc/uptime)
still=0 longest=0 looks=0
while ! caught; do
	if suspended; then still=$((still + 1)); else still=0; fi
	[ $still -le $longest ] || longest=$still
	[ $(((looks += 1) % 20)) != 0 ] || echo "wait: a snapshot"
	[ $(($(cut -d. -f1 /proc/uptime) - begin)) -lt 600 ] || { cat $log; fail "no snapshot, suspended for $longest looks"; }
	kill -0 $copy 2>/tmp/kill.err || { cat $log /mnt/out/slow.err; fail "the copy ended"; }
	sleep 1
done
[ $(($(cut -d. -f1 /proc/uptime) - begin)) -gt 60 ] || fail "it was written within a minute: this test shows nothing"
echo "slow: caught after $(($(cut -d. -f1 /proc/uptime) - begin)) s, suspended for at most $longest looks"
[ $longest -lt 20 ] || { cat $log; fail "suspended for $longest looks"; }
! suspended || fail "it is suspended at the end"
kill -9 $copy
wait $copy
kill -TERM $server
wait $server
cp $log /mnt/out/server.log
! suspended || fail "it is suspended after the server"

# As a killed lvm leaves it: a snapshot of ours, and the volume suspended.
check left lvm lvcreate -q -y -s -p r --addtag target-worker-snapshot -n tw77-0 -l 5%ORIGIN vg/thick
check suspend dmsetup suspend --nolockfs vg-thick
suspended || fail "not suspended: this test shows nothing"
up
grep -q 'vg-thick was left suspended' $log || { cat $log; fail "not a word"; }
! suspended || fail "the next start leaves it suspended"
[ "$(lvm lvs --noheadings -o lv_name vg 2>/tmp/lvs.err | tr -d ' \n')" = thick ] || fail "left: $(lvm lvs vg)"
kill -TERM $server
wait $server
umount /mnt/thick
check inactive lvm vgchange -an vg
END
printf 'file /bin/source-server %s 0755 0 0\n' "$top/build/worker/source-server" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 384
qemu_disk "$dir/a.disk"
# 120 KB a second, behind 48 MB at once for what comes before.
for ((i = 0; i < ${#qemu[@]}; i++)); do
	case ${qemu[i]} in
	*"$dir/a.disk"*) qemu[i]+=,throttling.bps-write=120000,throttling.bps-write-max=24000000,throttling.bps-write-max-length=2 ;;
	esac
done
qemu_disk "$dir/root.img"
stack_limit=900
stack_run
