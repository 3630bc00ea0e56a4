#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server serves LVM volumes, thick and thin, from snapshots: a copy is the volume as it was when
# the copy began, though it is mounted and changes all the time, and none stays behind. A thick one is
# extended before it is full. One that cannot be, or whose pool gets full, ends the copy with
# SRC_SNAPSHOT. Passes over a volume in use each read a newer one. When the server is killed its
# snapshot goes too; when all of it is killed, the next start removes what it left.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

stack_tree
head -c 6M /dev/urandom >"$dir/tree/noise"
stack_image "$dir/root.img" 44
truncate -s 220M "$dir/a.disk"

stack_worker <<'END'
volumes() { lvm lvs --noheadings -o lv_name vg 2>/tmp/lvs.err | tr -d ' ' | sort | tr '\n' ' '; }
log=/tmp/server.log
up() {
	: >$log
	/bin/source-server "$@" --grace 15 --listen 127.0.0.1:5994 --allow-plain >>$log 2>&1 &
	server=$!
	soon "source-server does not listen" grep -q "listening on" $log
	[ "$(volumes)" = "$before" ] || fail "snapshots while nobody reads: $(volumes)"
}
soon() {
	text=$1; shift
	for i in $(seq 90); do
		"$@" && return
		[ $((i % 10)) != 0 ] || echo "wait: $text"
		sleep 1
	done
	cat $log
	fail "$text"
}
down() { # SIGNAL
	kill "-$1" $server
	wait $server
	cp $log "/mnt/out/server-$((runs += 1)).log"
}
as_before() { [ "$(volumes)" = "$before" ]; }
caught() { [ "$(grep -c "drive $1: snapshot" $log)" -gt "$2" ]; }
# A copy that has begun to read from a snapshot, and is stopped there.
begin() { # NAME DRIVE OPTIONS
	run=$1; drive=$2; shift 2
	n=$(grep -c "drive $drive: snapshot" $log)
	echo early >/mnt/$drive/when
	sync
	echo "begin $run"
	/bin/tw copy --allow-plain --json --bandwidth 512K "$@" "tw://127.0.0.1:5994/$drive" "/tmp/$drive.copy" \
		>/mnt/out/$run.json 2>/mnt/out/$run.err &
	copy=$!
	soon "$run: no snapshot" caught $drive $n
	kill -STOP $copy
	[ "$(volumes)" != "$before" ] || fail "$run: no snapshot: $(volumes)"
	echo late >/mnt/$drive/when
}
write() { echo "write $2"; dd if=/dev/urandom of=/mnt/$1 bs=1M count=$2 2>/tmp/dd.log && sync || fail "write $1: $(cat /tmp/dd.log)"; }
end() { # RC
	kill -CONT $copy
	while kill -0 $copy 2>/tmp/kill.err; do
		echo "wait: end of $run"
		sleep 5
	done
	wait $copy
	rc=$?
	[ $rc = $1 ] || { cat $log /mnt/out/$run.err; fail "$run: $rc, not $1"; }
}
holds() { # WORD
	mkdir -p /tmp/look
	check "$run: the copy is no file system" mount -t ext4 -o loop /tmp/$drive.copy /tmp/look
	[ "$(cat /tmp/look/when)" = $1 ] || fail "$run: the copy is of another time: $(cat /tmp/look/when)"
	check "$run: noise" cmp /tmp/look/noise /mnt/$drive/noise
	umount /tmp/look
	rm /tmp/$drive.copy
}
no_room() {
	lvm lvcreate -q -y -l 100%FREE -n filler vg
	before="$(volumes | tr ' ' '\n' | grep -vE '^(tw[0-9]|$)' | tr '\n' ' ')"
}
mkdir -p /tmp /mnt/thick /mnt/thin
check pvcreate lvm pvcreate -q /dev/vda
check vgcreate lvm vgcreate -q -s 1M vg /dev/vda
check thick lvm lvcreate -q -y -L 44M -n thick vg
check pool lvm lvcreate -q -y --type thin-pool -L 60M -n pool vg
check thin lvm lvcreate -q -y -V 44M -n thin --thinpool pool vg
dd if=/dev/vdb of=/dev/vg/thick bs=1M
dd if=/dev/vdb of=/dev/vg/thin bs=1M
before=$(volumes)
for v in thick thin; do
	check "mount $v" mount -t ext4 /dev/vg/$v /mnt/$v
done

# Nothing is frozen, and later writes are in no copy. They are more than the tenth that there is room for.
up --drive thick=/dev/vg/thick --drive thin=/dev/vg/thin
begin thick thick
write thick/much 5
soon "it was not extended in time" grep -q 'used, extended' $log
write thick/more 3
end 0
holds early
soon "the snapshot stays after the copy" as_before
begin thin thin
write thin/much 3
end 0
holds early
soon "the snapshot stays after the copy" as_before

begin passes thin --live-passes 3
write thin/much 2
end 0
holds late
soon "snapshots stay after passes" as_before
[ "$(grep -c 'drive thin: snapshot' $log)" -ge 3 ] || fail "the passes had one snapshot"

# 60 MB of pool, 44 and what was written of them taken: the rest is soon gone. Slower than the
# watch looks: a pool that is quite full stops whoever writes.
begin pool thin
write thin/a 6
for i in 1 2 3 4 5 6 7 8; do
	! grep -q 'the snapshot must go' $log || break
	write thin/b$i 1
	sleep 5
done
tail -n 5 $log
soon "the pool was filled without a word" grep -q 'the snapshot must go' $log
end 4
soon "the snapshot stays in a full pool" as_before

begin full thick
no_room
write thick/a 8
soon "it is not full" grep -q 'full, and with that worthless' $log
end 4
soon "a full snapshot stays" as_before
lvm lvremove -q -f -y vg/filler
before=$(volumes)
down TERM
as_before || fail "snapshots stay: $(volumes)"

# Killed: by its process for snapshots; with that, by the next start.
up --drive thick=/dev/vg/thick
begin killed thick
kill -9 $server
wait $server
soon "its snapshot stays" as_before
kill -9 $copy
wait $copy
up --drive thick=/dev/vg/thick
begin killed-all thick
for p in /proc/[0-9]*; do
	[ "$(cat $p/comm)" != snapshots ] || kill -9 ${p#/proc/}
done
kill -9 $server $copy
wait $server
[ "$(volumes)" != "$before" ] || fail "nothing was left: the test shows nothing"
up --drive thick=/dev/vg/thick
down TERM

# A whole disk has none.
up --drive disk=/dev/vda
check "no reason for the disk" grep -q 'drive disk: no snapshot, as it is no LVM volume' $log
down TERM
umount /mnt/thick /mnt/thin
check inactive lvm vgchange -an vg
END
printf 'file /bin/source-server %s 0755 0 0\n' "$top/build/worker/source-server" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 384
qemu_disk "$dir/a.disk"
qemu_disk "$dir/root.img"
stack_limit=400
stack_run
for run in pool full; do
	is "$run" '.errors[0].code == "SRC_SNAPSHOT"'
done
