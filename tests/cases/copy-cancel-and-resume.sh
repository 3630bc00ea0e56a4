#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM ends a copy within 2 s, whatever the source does, with the code CANCELLED; nothing that
# boots is left; with a journal the next run does not ask for what is durable already.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 480

cancelled_after() { # SECONDS ARGUMENTS...
	local pause=$1 begin
	shift
	"$worker" copy --json "$@" >"$work/copy.json" 2>"$work/copy.log" &
	local pid=$!
	sleep "$pause"
	begin=$(date +%s%N)
	kill -TERM $pid
	status=0
	wait $pid || status=$?
	took=$((($(date +%s%N) - begin) / 1000000))
	[ $status = 8 ] || fail "exit status $status"
	[ "$(value 'errors[0].code')" = CANCELLED ] || fail "code $(value 'errors[0].code')"
	[ $took -le 2000 ] || fail "the cancel took $took ms"
	cmp -n 1048576 "$work/dst" /dev/zero || fail "the first MiB was released"
}

nbd -r --filter=rate file "$work/src" rate=200M
cancelled_after 2.5 --journal "$work/j" "$uri" "$work/dst"
stop nbdkit
wire=$(value bytes_wire)
[ "$wire" -gt $((20 << 20)) ] || fail "only $wire bytes came before the cancel"

nbd -r file "$work/src"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
sum=$((wire + $(value bytes_wire)))
# All data is 160 MiB; a journal counts units of 64 MiB, so two of them may come again.
[ $sum -le $((248 << 20)) ] || fail "$sum bytes in sum"

# A journal that does not fit the target any more is noticed by samples.
head -c 479M /dev/zero | tr '\0' x |
	dd of="$work/dst" bs=1M seek=1 iflag=fullblock conv=notrunc status=none
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
grep -q 'not what the journal says' "$work/copy.log" || fail "the journal was believed"

# A server that answers nothing any more does not hold a cancel up.
stop nbdkit
nbd -r --filter=pause file "$work/src" pause-control="$work/pause"
rm "$work/dst"
(sleep 0.3; printf p | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log") &
cancelled_after 3 "$uri" "$work/dst"
printf r | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log"
