#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 600
# kill -9 at random points, again and again: each new run continues, the last one ends byte for
# byte. With a journal killed half way at most 55 % more than the data comes over the wire.
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

# 60 MB/s, killed when half of the drive is durable.
nbd -r --filter=rate file "$work/src" rate=500M
"$worker" copy --progress --journal "$work/j" "$uri" "$work/dst" >"$work/copy.json" 2>"$work/copy.log" &
pid=$!
wait_for 200 grep -qE 'progress copy [5-9][0-9]% ' "$work/copy.log"
kill -9 $pid || fail "the copy was over before it could be killed"
wait $pid || :
head_held "$work/dst" || fail "the first MiB was released"
stop nbdkit
nbd -r --filter=stats file "$work/src" statsfile="$work/stats"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
again=$(value bytes_wire)
[ "$again" -le $((640 * 75 / 100 << 20)) ] || fail "$again bytes came again"
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
