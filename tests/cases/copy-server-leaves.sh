#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server that wants to leave (nbdkit's exitwhen): it takes no new connections and is gone with the last
# one. Who has connections copies on to the end and leaves it alone; who loses his then is told that nobody
# is there, keeps what he has, and continues with the next server.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 96

under_way() { [ "$(stat -c %b "$work/dst" 2>&-)" -ge $((4 << 11)) ]; }
leaving() { # RATE in bits a second: an nbdkit that leaves when $work/leave is made, and does not come back
	rm -f "$work/leave" "$work/dst" "$sock"
	start leaving nbdkit -f -U "$sock" -r --filter=exitwhen --filter=rate file "$work/src" rate="$1" \
		exit-when-file-created="$work/leave" exit-when-poll=1
	wait_for 10 test -S "$sock"
	start copy "$worker" copy --json --journal "$work/j" --stall 5 "$uri" "$work/dst"
	wait_for 60 under_way
	touch "$work/leave"
}
gone() { ! kill -0 "${started[$1]}" 2>&-; }
ended() { # sets status and the files that copy-lib.bash's functions look at
	wait_for 60 gone copy
	status=0
	wait "${started[copy]}" || status=$?
	unset 'started[copy]'
	cp "$work/copy.log" "$work/copy.json"
}

leaving 64M
ended
[ $status = 0 ] || fail "the copy ended with $status: $(tail -n 2 "$work/copy.log")"
cmp "$work/src" "$work/dst"
wait_for 20 gone leaving

leaving 8M # half a minute in all
stop leaving -KILL
ended
code=$(tail -n 1 "$work/copy.json" | jq -r '.errors[0].code')
[[ $status = 4 && $code = SRC_@(CONNECT|EOF|SLOW) ]] || fail "exit status $status, code $code"
head_held "$work/dst" || fail "the first MiB was released"
nbd -r file "$work/src"
good --resume --journal "$work/j" "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
