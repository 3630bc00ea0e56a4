#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 1200
# kill -9 at random points, again and again: each new run continues, the last one ends byte for
# byte. What the journal of a killed copy calls durable does not come over the wire again.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires openssl
truncate -s 640M "$work/src"
openssl enc -aes-128-ctr -nosalt -K "$(printf %032x 9)" -iv "$(printf %032x 0)" \
	-in <(head -c 640M /dev/zero) -out "$work/src"

killed_after() { # SECONDS ARGUMENTS...
	local pause=$1
	shift
	"$worker" copy "$@" >"$work/copy.json" 2>"$work/copy.log" &
	local pid=$!
	sleep "$pause"
	! kill -0 $pid 2>&- || kill -9 $pid
	wait $pid || return 0
	over=1
}
over=

# Half of it arrives, and then nothing more: what is durable by then does not come again.
nbd -r --filter=pause --filter=rate file "$work/src" rate=250M pause-control="$work/pause"
wait_for 10 test -S "$work/pause"
mkfifo "$work/orders"
start orders socat -u "$work/orders" "UNIX-CONNECT:$work/pause"
exec 9>"$work/orders"
"$worker" copy --progress --journal "$work/j" "$uri" "$work/dst" >"$work/copy.json" 2>"$work/copy.log" 9>&- &
pid=$!
half() { [ "$(stat -c %b "$work/dst" 2>&-)" -ge $((352 << 11)) ]; }
wait_for 60 half
printf p >&9
wait_for 60 grep -qE 'progress copy (5[3-9]|[6-9][0-9])% ' "$work/copy.log"
kill -9 $pid
wait $pid || :
exec 9>&-
durable=$(sed -nE 's/^progress copy .*% ([0-9]+) of .*/\1/p' "$work/copy.log" | tail -n 1)
head_held "$work/dst" || fail "the first MiB was released"
stop nbdkit
nbd -r --filter=stats file "$work/src" statsfile="$work/stats"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
again=$(value bytes_wire)
# But for the first MiB and the leaves that are compared. Units of 64 MiB alone would be 32 MiB more.
[ "$again" -le $(((640 - durable + 24) << 20)) ] || fail "$again bytes came again, $durable MiB were durable"
stop nbdkit

rm "$work/dst" "$work/j"
nbd -r --filter=rate file "$work/src" rate=2500M
kills=0
for ((; kills < ${TW_KILLS:-8}; kills++)); do
	killed_after "0.$((RANDOM % 9))$((RANDOM % 10))" --resume --journal "$work/j" "$uri" "$work/dst"
	[ -z "$over" ] || break
	[ ! -e "$work/dst" ] || head_held "$work/dst" || fail "first MiB released"
done
[ $kills -ge 2 ] || fail "only $kills kills"
stop nbdkit
nbd -r file "$work/src"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
