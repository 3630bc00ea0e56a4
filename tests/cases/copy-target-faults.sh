#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A target that fails ends the copy with its code, never with success: EIO, ENOSPC, a torn write,
# a flush that fails, a slow flush; the next run mends everything. What is written where is
# recorded: the first MiB is zeroed first, and written last behind a flush, its first block behind another.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 96 777
to="record:$work/dst?log=$work/ops"

bad DISK_IO "file:$work/src" "$to&eio=40"
bad DISK_IO "file:$work/src" "$to&torn=30"
bad DISK_FULL "file:$work/src" "$to&enospc=$((60 << 20))"
bad DISK_IO "file:$work/src" "$to&flush-eio=2"
head_held "$work/dst" || fail "the first MiB was released after a failure"
# The second flush is under way when the last byte comes: its failure counts all the same.
truncate -s 64M "$work/src64"
head -c 64M /dev/urandom >"$work/src64"
bad DISK_IO --bandwidth 10M "file:$work/src64" "record:$work/dst64?slow=3000&flush-eio=2"
head_held "$work/dst64" || fail "the first MiB was released after a failed flush"
good --delta --verify=full "file:$work/src" "$to&slow=300"
cmp "$work/src" "$work/dst"

head -c $((96 << 20)) /dev/urandom >"$work/dst"
good "file:$work/src" "$to"
cmp "$work/src" <(head -c $(((96 << 20) + 777)) "$work/dst")
[ "$(head -n 3 "$work/ops" | tr '\n' ,)" = "zero 0 1048576,write 4096 4096,flush 0 0," ] ||
	fail "it begins with: $(head -n 3 "$work/ops")"
[ "$(tail -n 5 "$work/ops" | tr '\n' ,)" = \
	"flush 0 0,write 4096 1044480,flush 0 0,write 0 4096,flush 0 0," ] ||
	fail "it ends with: $(tail -n 5 "$work/ops")"
# Old content of the target does not shine through holes: each byte was written or zeroed.
awk '$1 != "flush" { for (i = $2; i < $2 + $3; i += 4096) seen[int(i / 4096)] = 1 }
	END { for (i = 0; i <= 24576; i++) if (!seen[i]) { print "not touched:", i; exit 1 } }' "$work/ops" ||
	fail "a part of the target was left as it was"
if grep -E '^(write|zero)' "$work/ops" | head -n -2 | sed 1,2d | awk '$2 < 1048576 { exit 1 }'; then :; else
	fail "the first MiB was written in between"
fi

# On a fresh file zeroes need no work at all.
rm "$work/dst"
good "file:$work/src" "$to"
[ "$(grep -c ^zero "$work/ops" || :)" = 0 ] || fail "zeroes were written to a fresh file"
