#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job with live_passes: every drive is passed over while the source works, and only then the source
# is held still, once, for the pass over each that counts. The result has the passes' numbers.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires losetup mke2fs e2fsck
[ "$(id -u)" = 0 ] || skip "needs root for a loop device"

mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$work/sda" 32M
make_disk "$work/sdb" 8 2
loop=$(losetup -f --show "$work/sda") || skip "no loop device to be had"
cleanup_fn 'losetup -d "$loop"'
mkdir "$work/mnt" "$work/copy"
mount -o noatime "$loop" "$work/mnt"
cleanup_fn 'wait_for 10 umount "$work/mnt"'
cleanup_fn 'fsfreeze -u "$work/mnt" 2>"$work/fsfreeze.out"'
head -c 4M /dev/urandom >"$work/mnt/data"
sync

cat >"$work/quiesce" <<END
#!/bin/bash
grep -c 'the source in use:' "$work/run.log" >>"$work/passes"
echo "at rest" >"$work/mnt/last"
END
chmod 755 "$work/quiesce"
port=$(free_port)
start server "$server" --drive "sda=$loop" --drive "sdb=$work/sdb" --listen "127.0.0.1:$port" \
	--allow-plain --all-blocks --before-freeze "$work/quiesce"
wait_for 10 listens "$port"

job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta"), $(drive sdb "$work/tb")]"
jq '.source += {allow_plain: true, live_passes: 3, downtime_s: 86400}' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
run_job
expect success NONE 0
[ "$(cat "$work/passes")" = 2 ] ||
	fail "frozen $(wc -l <"$work/passes") times, after $(paste -sd, "$work/passes") passes"
cmp "$work/sdb" "$work/tb"
# Thawing marks the superblock; nobody else has written since.
cmp -i 4096 "$work/sda" "$work/ta" || fail "the copy is not what the drive was when it stood still"
e2fsck -fn "$work/ta" >"$work/fsck.log" || fail "the copy is not clean: $(tail -n 3 "$work/fsck.log")"
mount -o ro,noload,loop "$work/ta" "$work/copy"
cleanup_fn '! mountpoint -q "$work/copy" || umount "$work/copy"'
[ "$(cat "$work/copy/last")" = "at rest" ] || fail "the copy is of before the source held still"
umount "$work/copy"
jq -e 'all(.drives[]; .copied and .committed and .copy.live_passes == 1 and
	.copy.final_seconds > 0 and .copy.final_seconds < .copy.seconds)' "$work/result.json" \
	>"$work/jq.log" || fail "result: $(jq -c '.drives[].copy' "$work/result.json")"

# One key alone has no meaning.
jq 'del(.source.live_passes)' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
rm "$work/result.json"
run_job
expect failed CFG_INVALID 2
grep -q 'source.downtime_s: needs live_passes' "$work/run.log" || fail "no word about the key: $(tail -n 3 "$work/run.log")"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
