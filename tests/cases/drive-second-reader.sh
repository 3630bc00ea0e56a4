#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A second implementation of the drive protocol, in Python and from the document alone, lists the
# drives, reads one and finds what changed in it.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires python3 ss
reader=$top/tests/cases/drive-second-reader.py

truncate -s 16M "$work/src"
head -c 3M /dev/urandom | dd of="$work/src" bs=64k seek=16 iflag=fullblock conv=notrunc status=none
head -c 12345 /dev/urandom >>"$work/src"     # an odd size
printf 'hello' | dd of="$work/src" bs=1 seek=$((9 << 20)) conv=notrunc status=none
seq 100000 | dd of="$work/src" bs=64k seek=180 conv=notrunc status=none # LZ4 shrinks it
truncate -s 1M "$work/other"

port=$(free_port)
start server "$server" --drive "sda=$work/src" --drive "sdb=$work/other" \
	--listen "127.0.0.1:$port" --allow-plain
wait_for 10 listens "$port"

"$reader" "$port" list >"$work/list"
grep -q "^0 sda $(stat -c %s "$work/src") " "$work/list" || fail "sda: $(cat "$work/list")"
grep -q "^1 sdb 1048576 " "$work/list" || fail "sdb: $(cat "$work/list")"

"$reader" "$port" read sda "$work/dst"
cmp "$work/src" "$work/dst"

[ -z "$("$reader" "$port" diff sda "$work/dst")" ] || fail "equal drives differ"
printf x | dd of="$work/dst" bs=1 seek=70000 conv=notrunc status=none
printf x | dd of="$work/dst" bs=1 seek="$(($(stat -c %s "$work/src") - 1))" conv=notrunc status=none
last=$((($(stat -c %s "$work/src") - 1) / 65536))
changed=$("$reader" "$port" diff sda "$work/dst")
[ "$changed" = "1 $last" ] || fail "changed leaves: $changed, not 1 $last"

touch "$work/src"
"$reader" "$port" list >"$work/list2"
! cmp -s "$work/list" "$work/list2" || fail "the generation stays although the file was touched"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work/server.log" || fail "sanitizer report"
