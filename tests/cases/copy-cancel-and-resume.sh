#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SIGTERM ends a copy at once, whatever the source does, with the code CANCELLED; nothing that
# boots is left; with a journal the next run does not ask for what is durable already.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 480

# On a machine with nothing else to do it is to take 2 s; without a cancel the copies of this test would take minutes.
cancelled_when() { # EVENT ARGUMENTS...
	local event=$1 begin
	shift
	"$worker" copy --json --progress "$@" >"$work/copy.json" 2>"$work/copy.log" &
	local pid=$!
	wait_for 30 eval "$event"
	begin=$(date +%s%N)
	kill -TERM $pid
	status=0
	wait $pid || status=$?
	took=$((($(date +%s%N) - begin) / 1000000))
	[ $status = 8 ] || fail "exit status $status"
	[ "$(value 'errors[0].code')" = CANCELLED ] || fail "code $(value 'errors[0].code')"
	echo "cancelled within $took ms"
	[ $took -le 20000 ] || fail "the cancel took $took ms"
	head_held "$work/dst" || fail "the first MiB was released"
}

part='grep -q "progress copy [4-9][0-9]% " "$work/copy.log"'
nbd -r --filter=rate file "$work/src" rate=100M
cancelled_when "$part" --journal "$work/j" "$uri" "$work/dst"
stop nbdkit
wire=$(value bytes_wire)
[ "$wire" -gt $((20 << 20)) ] || fail "only $wire bytes came before the cancel"

nbd -r file "$work/src"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
sum=$((wire + $(value bytes_wire)))
# All data is 160 MiB; what was on the way may come again, and leaves are compared.
[ $sum -le $((212 << 20)) ] || fail "$sum bytes in sum"

# Another disk in the place of the target is not what the journal tells of.
rm "$work/dst"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst" || fail "the journal was believed for a new target"
stop nbdkit

# A target that lost what the journal says is noticed by samples.
rm "$work/dst" "$work/j"
nbd -r --filter=rate file "$work/src" rate=100M
cancelled_when "$part" --journal "$work/j" "$uri" "$work/dst"
stop nbdkit
head -c 479M /dev/zero | tr '\0' x |
	dd of="$work/dst" bs=1M seek=1 iflag=fullblock conv=notrunc status=none
nbd -r file "$work/src"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
grep -q 'not what the journal says' "$work/copy.log" || fail "the journal was believed"
stop nbdkit

# After VERIFY_HASH the next run looks at everything again, and mends it.
rm "$work/dst" "$work/j"
bad VERIFY_HASH --verify=full --journal "$work/j" "file:$work/src" "record:$work/dst?flip=40"
good --resume --verify=sample --journal "$work/j" "file:$work/src" "$work/dst"
cmp "$work/src" "$work/dst" || fail "a wrong leaf stayed"

# A server that answers nothing any more does not hold a cancel up.
nbd -r --filter=pause file "$work/src" pause-control="$work/pause"
rm "$work/dst"
wait_for 10 test -S "$work/pause"
printf p | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log"
cancelled_when '[ -e "$work/dst" ]' "$uri" "$work/dst"
printf r | socat -t 1 - "UNIX-CONNECT:$work/pause" >"$work/socat.log"
