#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# source-server is killed in the middle of a copy and started again. When the drive was written to
# meanwhile, what was copied before is of another point in time: all is compared, and the target
# is the later state, every byte. When it was not, the copy simply goes on.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq cmp openssl

port=$(free_port)
psk=tester:$(openssl rand -hex 32)
(umask 077; echo "$psk" >"$work/psk")
up() { # DRIVE [OPTIONS]
	start server "$server" --drive "a=$1" --listen "127.0.0.1:$port" --psk-file "$work/psk" "${@:2}"
	wait_for 20 listens "$port"
}
begin() { # NAME [OPTIONS]: a copy in the background, slow enough to be met in the middle
	start "$1" timeout 250 "$worker" copy --json --bandwidth 8M "${@:2}" \
		"tws://127.0.0.1:$port/a?psk-file=$work/psk" "$work/dst"
}
ended() { # NAME
	local pid=${started[$1]}
	unset "started[$1]"
	wait "$pid" || fail "$1: $(tail -n 2 "$work/$1.log")"
	! grep -qE 'AddressSanitizer|runtime error' "$work/$1.log" || fail "sanitizer report"
	tail -n 1 "$work/$1.log" >"$work/copy.json"
	[ "$(jq .retries "$work/copy.json")" -gt 0 ] || fail "$1: nothing was cut: the test shows nothing"
}
# The 3rd to 4th MiB are on the target and the last one is not: in the middle.
in_the_middle() {
	wait_for 60 cmp -s -i 2M -n 2M "$work/src" "$work/dst"
	! cmp -s -i 47M -n 64K "$work/src" "$work/dst" || fail "too late: all is copied"
}

head -c 48M /dev/urandom >"$work/src"
up "$work/src"
begin same
in_the_middle
stop server -KILL
up "$work/src"
ended same
cmp "$work/src" "$work/dst" || fail "restarted without a change: the target differs"
! grep -q 'compared again' "$work/same.log" || fail "an unchanged drive was compared again"
stop server

for mode in none full; do
	rm "$work/dst"
	up "$work/src"
	begin changed --verify=$mode
	in_the_middle
	stop server -KILL
	# In what was copied, in the held-back head, and at the end.
	for at in 100 3000000 50000000; do
		head -c 70000 /dev/urandom | dd of="$work/src" bs=1 seek=$at conv=notrunc status=none
	done
	up "$work/src"
	ended changed
	cmp "$work/src" "$work/dst" || fail "the target is not the later state"
	grep -q 'compared again' "$work/changed.log" || fail "the change was not noticed"
	stop server
done

# A worker that dies after the change does not find its old journal again either.
rm "$work/dst"
up "$work/src" --state-dir "$work"
begin killed --job-id j
in_the_middle
stop killed
stop server -KILL
head -c 70000 /dev/urandom | dd of="$work/src" bs=1 seek=3000000 conv=notrunc status=none
up "$work/src" --state-dir "$work"
"$worker" copy --resume --job-id j "tws://127.0.0.1:$port/a?psk-file=$work/psk" "$work/dst" \
	>"$work/resume.log" 2>&1 || fail "resume: $(tail -n 2 "$work/resume.log")"
cmp "$work/src" "$work/dst" || fail "resumed over a change: the target is not the later state"
stop server

# A mounted file system, frozen by the first server and again by the second.
[ "$(id -u)" = 0 ] || exit 0
mke2fs -q -t ext4 -b 4096 "$work/disk" 48M
loop=$(losetup -f --show "$work/disk") || { echo "no loop device to be had"; exit 0; }
cleanup_fn 'losetup -d "$loop"'
mkdir "$work/mnt"
mount "$loop" "$work/mnt"
cleanup_fn 'wait_for 10 umount "$work/mnt"'
cleanup_fn 'fsfreeze -u "$work/mnt" 2>"$work/fsfreeze.out"'
head -c 36M /dev/urandom >"$work/mnt/data"
sync -f "$work/mnt"
cp "$work/disk" "$work/src"
rm "$work/dst"
up "$loop"
begin frozen
wait_for 60 cmp -s -i 10M -n 1M "$work/src" "$work/dst"
stop server -KILL
wait_for 20 sh -c 'timeout 2 sh -c "echo later >$1/later; sync -f $1"' - "$work/mnt"
for i in 1 2 3 4 5 6; do echo "$i" >"$work/mnt/file$i"; done
sync -f "$work/mnt"
up "$loop"
ended frozen
grep -q 'compared again' "$work/frozen.log" || fail "the thaw in between was not noticed"
e2fsck -fn "$work/dst" >"$work/fsck.log" || fail "the copy is not clean: $(tail -n 3 "$work/fsck.log")"
[ "$(debugfs -R 'cat /file6' "$work/dst" 2>"$work/debugfs.log")" = 6 ] || fail "the copy is not the later state"
