#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A drive that is written to all the time: the passes before the last one do not hold it still,
# each brings what changed; the last one does, so that the copy equals the drive as it was when its
# writers had been told to stop, to the byte. Passes end by the downtime, by their number, and when
# they gain nothing.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires losetup mke2fs e2fsck jq
[ "$(id -u)" = 0 ] || skip "needs root for a loop device"

mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 "$work/disk" 64M
loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
cleanup_fn 'losetup -d "$loop"'
mkdir "$work/mnt" "$work/copy" "$work/state"
mount -o noatime "$loop" "$work/mnt"
cleanup_fn 'wait_for 10 umount "$work/mnt"'
# Should what is tested here fail, this machine must not keep it.
cleanup_fn 'fsfreeze -u "$work/mnt" 2>"$work/fsfreeze.out"'
head -c 8M /dev/urandom >"$work/mnt/data"
sync

# Writes in place and appends, one round after the other, until it is told to stop.
cat >"$work/writer" <<END
#!/bin/bash
while [ ! -e "$work/enough" ]; do
	head -c 64K /dev/urandom | dd of="$work/mnt/data" bs=64K seek=\$((RANDOM % 128)) conv=notrunc,fsync status=none
	echo round >>"$work/mnt/log"
done
touch "$work/stopped"
END
# What a database would do: finish, and say so on the disk. Only now nobody writes any more.
cat >"$work/quiesce" <<END
#!/bin/bash
echo "\$1" >>"$work/calls"
grep -c 'the source in use' "$work/copy.log" >"$work/passes"
touch "$work/enough"
while [ ! -e "$work/stopped" ]; do sleep 0.05; done
echo "at rest" >"$work/mnt/last"
wc -l <"$work/mnt/log" >"$work/rounds"
END
chmod 755 "$work/writer" "$work/quiesce"

# up OPTIONS...: the server, and a writer that has begun
up() {
	touch "$work/enough"
	stop writer
	rm -f "$work"/{enough,stopped,calls}
	: >"$work/mnt/log"
	port=$(free_port)
	start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --all-blocks "$@"
	wait_for 10 listens "$port"
	start writer "$work/writer"
	wait_for 10 test -s "$work/mnt/log"
}
copy() {
	"$worker" copy --allow-plain --json "$@" "tw://127.0.0.1:$port/sda" "$work/dst" \
		>"$work/out" 2>"$work/copy.log" || fail "copy: $(tail -n 2 "$work/copy.log")"
}
value() { tail -n 1 "$work/out" | jq -r ".$1"; }
# How many there were before anything was frozen: none froze.
passes() { cat "$work/passes"; }

# A downtime that any pass fits: one is enough. Everything is compared under the freeze.
up --before-freeze "$work/quiesce"
copy --live-passes 5 --downtime 86400 --verify=full
[ "$(passes)" = 1 ] && [ "$(value live_passes)" = 1 ] || fail "passes that were not needed: $(grep pass "$work/copy.log")"
grep -q 'fits the downtime' "$work/copy.log" || fail "no reason for the end: $(grep pass "$work/copy.log")"
[ "$(cat "$work/calls")" = freeze ] || fail "frozen $(wc -l <"$work/calls") times"
[ "$(value bytes_equal)" -gt 0 ] && [ "$(value bytes_equal)" -lt "$(value bytes_total)" ] ||
	fail "the last pass compared nothing, or found no change: $(value bytes_equal)"
# Thawing marks the superblock; nobody else has written since.
cmp -i 4096 "$work/disk" "$work/dst" || fail "the copy is not what the drive was when it stood still"
e2fsck -fn "$work/dst" >"$work/fsck.log" || fail "the copy is not clean: $(tail -n 3 "$work/fsck.log")"
mount -o ro,noload,loop "$work/dst" "$work/copy"
cleanup_fn '! mountpoint -q "$work/copy" || umount "$work/copy"'
[ "$(cat "$work/copy/last")" = "at rest" ] || fail "the copy is of before the writers stopped"
[ "$(wc -l <"$work/copy/log")" = "$(cat "$work/rounds")" ] || fail "rounds are missing"
umount "$work/copy"
stop server

# Nothing but their number, or no gain, ends them; the target of the run before is compared.
up --before-freeze "$work/quiesce" --bandwidth 40M
copy --live-passes 3 --downtime 1 --delta --connections 2
n=$(passes)
[ "$n" -ge 1 ] && [ "$n" -le 3 ] && [ "$(value live_passes)" = "$n" ] || fail "$n passes"
cmp -i 4096 "$work/disk" "$work/dst" || fail "the second copy is not what the drive was"
stop server

# An interrupted pass leaves nothing that a later run would believe.
up --before-freeze "$work/quiesce" --bandwidth 4M --state-dir "$work/state"
rm -f "$work/dst"
start cut "$worker" copy --allow-plain --job-id j --live-passes 3 --journal "$work/journal" \
	"tw://127.0.0.1:$port/sda" "$work/dst"
wait_for 20 bash -c "[ \$(stat -c %b '$work/dst' || echo 0) -gt 4096 ]"
stop cut -KILL
[ ! -s "$work/journal" ] || fail "a pass over a moving drive is in the journal"
stop server
up --before-freeze "$work/quiesce" --state-dir "$work/state"
copy --job-id j --resume --journal "$work/journal"
cmp -i 4096 "$work/disk" "$work/dst" || fail "the resumed copy is not what the drive was"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
