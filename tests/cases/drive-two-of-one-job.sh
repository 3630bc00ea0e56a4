#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two copies of a mounted drive with one job's name: the first one's end thaws the file system while
# the second is in the middle. It notices, and ends with a target of one moment: never one half from
# before and one from after. A session of the same name but another key is not touched at all.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires e2fsck jq

mounted 64M
head -c 24M /dev/urandom >"$work/mnt/data"
port=$(free_port)
for user in one two; do
	(umask 077; echo "$user:$(openssl rand -hex 32)" >>"$work/keys")
done
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --psk-file "$work/keys" --grace 250
wait_for 10 listens "$port"
uri() { echo "tws://$1@127.0.0.1:$port/sda?psk-file=$work/keys"; }
slow() { # USER: a copy of which 24 MiB take 12 s, stopped in the middle
	rm -f "$work/slow.img"
	start slow "$worker" copy --json --job-id m-1 --connections 2 --bandwidth 2M \
		--bad-ranges "$work/bad" "$(uri "$1")" "$work/slow.img"
	wait_for 30 under_way
	kill -STOP "${started[slow]}"
}
under_way() { [ -e "$work/slow.img" ] && [ "$(du -k "$work/slow.img" 2>"$work/du.err" | cut -f 1)" -gt 3000 ]; }
fast() {
	rm -f "$work/fast.img"
	"$worker" copy --json --job-id m-1 "$(uri one)" "$work/fast.img" >"$work/fast.json" 2>"$work/fast.log" ||
		fail "the fast copy: $(tail -n 2 "$work/fast.log")"
}
# Moves everything: what is free and what is not, names, and the content of what stays.
rewrite() {
	rm "$work/mnt/data"
	head -c 20M /dev/urandom >"$work/mnt/other"
	for i in $(seq 200); do echo "$i" >"$work/mnt/file $i"; done
	head -c 4M /dev/urandom >"$work/mnt/data"
	sync -f "$work/mnt"
}
ends_well() {
	local status=0
	kill -CONT "${started[slow]}"
	wait "${started[slow]}" || status=$?
	unset "started[slow]"
	[ $status = 0 ] || fail "the slow copy: $(tail -n 3 "$work/slow.log")"
	e2fsck -fn "$work/slow.img" >"$work/fsck.log" || fail "damaged: $(tail -n 3 "$work/fsck.log")"
}

slow one
fast
rewrite
ends_well
# What it has in the end is the file system as it is now.
mkdir "$work/copied"
mount -o ro,noload,loop "$work/slow.img" "$work/copied"
cleanup_fn '! mountpoint -q "$work/copied" || umount "$work/copied"'
diff -r "$work/mnt" "$work/copied" >"$work/diff.log" || fail "not as it is: $(head -n 3 "$work/diff.log")"
umount "$work/copied"
grep -q 'everything is compared again' "$work/slow.log" || fail "the slow copy did not notice"
# Another key's job has its own end.
slow two
fast
start writer bash -c 'rm "$1/data"; head -c 8M /dev/urandom >"$1/data"; sync -f "$1"' - "$work/mnt"
ends_well
! grep -q 'everything is compared again' "$work/slow.log" || fail "another key's job ended it"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
