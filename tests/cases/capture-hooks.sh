#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The operator's programs around a freeze: the first one's changes are in the copy, the second one
# can write again; one that says no or hangs ends the copy with SRC_HOOK and nothing is frozen. The
# second one runs once after each first, also when the server was killed before, while or after it
# froze, or does not move at all.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
requires debugfs

mounted 32M
head -c 2M /dev/urandom >"$work/mnt/data"

# Its first word is what it does before a freeze. The calls are counted outside of the drive.
cat >"$work/hook" <<END
#!/bin/bash
echo "\$1" >>"$work/calls"
echo "this is \$1"
if [ "\$1" = freeze ]; then
	echo "\$\$" >"$work/hook.pid"
	case \$(cat "$work/mood") in
	no) echo "the database says no" >&2; exit 3 ;;
	hang) exec sleep 600 ;;
	esac
fi
echo "\$(cat "$work/round")" >"$work/mnt/\$1"
echo "\$1 wrote" >>"$work/calls"
END
chmod 755 "$work/hook"
round=0
# up MOOD OPTIONS...
up() {
	port=$(free_port)
	echo "$1" >"$work/mood"
	echo $((++round)) >"$work/round"
	: >"$work/calls"
	shift
	start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --verbose \
		--before-freeze "$work/hook" --after-thaw "$work/hook" "$@"
	wait_for 10 listens "$port"
}
copy() { "$worker" copy --connections 1 --allow-plain --json "tw://127.0.0.1:$port/sda" "$work/dst" >"$work/result" 2>"$work/copy.log"; }
reader() { "$top/tests/cases/drive-second-reader.py" "$port" "$@"; }
called() { [ "$(paste -sd, "$work/calls")" = "$1" ]; }
calls() { wait_for 10 called "$1" || fail "$2: the programs did: $(paste -sd, "$work/calls"), not: $1"; }
refused() {
	local status=0

	copy || status=$?
	[ $status = 4 ] || fail "$1: exit status $status, not 4: $(tail -n 1 "$work/copy.log")"
	[ "$(tail -n 1 "$work/result" | jq -r '.errors[0].code')" = SRC_HOOK ] || fail "$1: $(cat "$work/result")"
}
both=freeze,'freeze wrote',thaw,'thaw wrote'

up ready --grace 2
copy || fail "copy: $(tail -n 2 "$work/copy.log")"
calls "$both" "a whole copy"
[ "$(debugfs -R 'cat /freeze' "$work/dst" 2>"$work/debugfs.out")" = $round ] || fail "what was written before the freeze is not in the copy"
[ -z "$(debugfs -R 'cat /thaw' "$work/dst" 2>"$work/debugfs.out")" ] || fail "the copy is of after the freeze"
grep -q 'hook: this is freeze' "$work/server.log" || fail "the program's output is not in the log"
stop server

up no
refused "a program that says no"
calls freeze,thaw,'thaw wrote' "a program that says no"
grep -q 'exit status 3: the database says no' "$work/copy.log" || fail "no reason: $(cat "$work/copy.log")"
stop server

up hang --hook-time 5
refused "a program that hangs"
calls freeze,thaw,'thaw wrote' "a program that hangs"
! kill -0 "$(cat "$work/hook.pid")" 2>&- || fail "the program that hung still runs"
stop server

up hang --hook-time 100
start client "$top/tests/cases/drive-second-reader.py" "$port" read sda "$work/dst"
wait_for 10 grep -q freeze "$work/calls"
stop server -KILL
calls freeze,thaw,'thaw wrote' "killed before it froze"
kill "$(cat "$work/hook.pid")"
stop client

up ready --grace 60
reader read sda "$work/dst"
called freeze,'freeze wrote' || fail "thawed although the client may come back: $(paste -sd, "$work/calls")"
stop server -KILL
calls "$both" "killed while frozen"

# It cannot be fed and cannot thaw: the watchdog does all of it.
up ready --grace 60 --freeze 2
reader read sda "$work/dst"
kill -STOP "${started[server]}"
cleanup_fn 'stop server -KILL'
calls "$both" "stopped while frozen"
kill -CONT "${started[server]}"
stop server
called "$both" || fail "the program ran twice: $(paste -sd, "$work/calls")"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
