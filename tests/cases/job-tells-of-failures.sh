#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What goes wrong after the first write is told three times: on the console, in result.json and to
# the controller. The target cannot boot by half, the source is not changed, and the same job goes
# through once the cause is gone.
# also: shipped
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires jq openssl nbdkit mke2fs sfdisk busybox
[ "$(id -u)" = 0 ] || skip "needs root: mounts"

boss
held_back() { cmp -n 4096 "$1" /dev/zero || fail "the target may boot"; }

# The storage behind the target is full.
make_disk "$work/sda" 24 1
cp "$work/sda" "$work/sda.before"
mkdir "$work/mnt"
mount -t tmpfs -o size=12M none "$work/mnt"
cleanup_fn 'umount "$work/mnt"'
job "file:$work" "[$(drive sda "$work/mnt/target")]"
boss_job
run_job
expect failed DISK_FULL 5
told DISK_FULL
held_back "$work/mnt/target"
mount -o remount,size=60M "$work/mnt"
run_job
expect success NONE 0
cmp "$work/sda" "$work/mnt/target"

# The source goes away for good.
copying() { grep -q 'COPY.*copy' "$work/run.log" && [ -s "$work/away" ]; }
port=$(free_port)
start nbd nbdkit -f -p "$port" -i 127.0.0.1 --filter=rate file "$work/sda" rate=8M
wait_for 10 listens "$port"
job "nbd://127.0.0.1:$port" "[$(drive sda "$work/away")]"
boss_job
: >"$work/run.log"
run_job &
runner=$!
wait_for 60 copying
stop nbd -KILL
wait "$runner"
code=$(jq -r .code "$work/result.json")
case $code in
SRC_EOF | SRC_SLOW | SRC_CONNECT) ;;
*) fail "code $code" ;;
esac
told "$code"
jq -e '.err.retryable and .touched' "$work/result.json" >"$work/jq.log" || fail "not retryable"
held_back "$work/away"
start nbd nbdkit -f -p "$port" -i 127.0.0.1 file "$work/sda"
wait_for 10 listens "$port"
run_job
expect success NONE 0
cmp "$work/sda" "$work/away"
cmp "$work/sda" "$work/sda.before"

# unprepared CODE SETUP...: a guest that cannot be prepared; copied, but not committed.
unprepared() {
	local code=$1

	cp "$work/guest" "$work/guest.before"
	job "file:$work" "[$(drive guest "$work/$code.raw")]"
	jq '.prepare = {nvram: false}' "$work/job.json" >"$work/job.tmp"
	mv "$work/job.tmp" "$work/job.json"
	boss_job
	run_job
	expect failed "$code" 7
	told "$code"
	jq -e '.failed_in == "PREPARE" and (.drives[0] | .copied and (.committed | not))' \
		"$work/result.json" >"$work/jq.log" || fail "$code: $(jq -c .drives "$work/result.json")"
	! cmp -s -n 440 "$work/guest" "$work/$code.raw" || fail "$code: boot code was written"
	cmp "$work/guest" "$work/guest.before" || fail "$code: the source was written to"
}
boot_code() { openssl rand 440 | dd of="$work/guest" conv=notrunc status=none; }

make_disk "$work/guest" 8 2
echo '2048,,L,*' | sfdisk -q --label dos "$work/guest"
boot_code
unprepared PREP_NO_SYSTEM

tests/data/phony-debian "$work/tree"
head -c 30M /dev/urandom >"$work/tree/var/data"
tests/data/phony-disk "$work/tree" "$work/guest"
boot_code
unprepared PREP_NO_SPACE
jq -e '.err.text | test("/ has [0-9]+ MB free and needs [0-9]+ MB")' "$work/told.json" \
	>"$work/jq.log" || fail "the file system is not named"

# With room the same job, started again, prepares and commits the same target.
rm "$work/tree/var/data"
tests/data/phony-disk "$work/tree" "$work/guest"
boot_code
run_job
expect success NONE 0
cmp -n 440 "$work/guest" "$work/PREP_NO_SPACE.raw" || fail "the boot code was not committed"
