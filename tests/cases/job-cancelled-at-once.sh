#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job that is told to end does so at once, whatever it waits for: a source that takes connections and
# says nothing, one that runs a program before it freezes, for as long as that takes, and one that
# does not answer reads of the first MiB.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
# shellcheck source=tests/cases/job-lib.bash
. tests/cases/job-lib.bash
requires jq ss

run() {
	: >"$work/run.log"
	rm -f "$work/result.json"
	"$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 &
	runner=$!
	cleanup_fn "if kill -0 $runner 2>&-; then kill -9 $runner; fi"
}
cancelled() { # FILE TEXT: it ended before the file had the text
	status=0
	kill -TERM $runner
	wait $runner || status=$?
	! grep -q "$2" "$1" || fail "it ended only after \"$2\""
	[ $status = 8 ] || fail "exit status $status: $(tail -n 3 "$work/run.log")"
	jq -e '.verdict == "cancelled"' "$work/result.json" >"$work/jq.log" || fail "$(jq -c '{verdict, err}' "$work/result.json")"
}
plain() { jq '.source.allow_plain = true | .verify = "none"' "$work/job.json" >"$work/job.tmp" && mv "$work/job.tmp" "$work/job.json"; }

port=$(free_port)
start silent /usr/bin/python3 -u -c 'import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
c = s.accept()[0]
print("came", flush=True)
time.sleep(9)
print("gave up", flush=True)' "$port"
wait_for 20 listens "$port"
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
plain
run
wait_for 20 grep -q came "$work/silent.log"
cancelled "$work/silent.log" 'gave up'
stop silent

mounted 16M
cat >"$work/hook" <<END
#!/bin/bash
echo "\$1 begins" >>"$work/calls"
[ "\$1" = thaw ] || sleep 50
echo "\$1 ends" >>"$work/calls"
END
chmod 755 "$work/hook"
port=$(free_port)
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain --before-freeze "$work/hook" --hook-time 200
wait_for 20 listens "$port"
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
plain
run
wait_for 20 grep -q 'freeze begins' "$work/calls"
cancelled "$work/calls" 'freeze ends'
stop server

# Everything but the first MiB has come, which takes its time; then the server answers nothing any more.
head -c 1M /dev/urandom >"$work/img"
truncate -s 16M "$work/img"
port=$(free_port)
start server "$server" --drive "sda=$work/img" --listen "127.0.0.1:$port" --allow-plain --bandwidth 128K
wait_for 20 listens "$port"
job "tw://127.0.0.1:$port" "[$(drive sda "$work/tb")]"
plain
run
wait_for 30 grep -q PREPARE "$work/run.log"
kill -STOP "${started[server]}"
cleanup_fn "kill -CONT ${started[server]}"
start stops bash -c 'sleep 18; echo "goes on"'
cancelled "$work/stops.log" 'goes on'
! grep -q COMMIT "$work/run.log" || fail "the first MiB had come before the server was stopped"
kill -CONT "${started[server]}"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
