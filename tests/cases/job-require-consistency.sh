#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A drive that something uses which cannot be held still: the job copies it, with "crash" in the result
# and a warning; one that requires consistency is refused before a byte is written. So is a source that
# cannot tell. What nobody uses, and a mounted file system that is frozen, is good enough.
# shellcheck source=tests/cases/freeze-lib.bash
. "$(dirname "$0")/freeze-lib.bash"
# shellcheck source=tests/cases/job-lib.bash
. tests/cases/job-lib.bash
requires jq ss qemu-nbd

mounted 16M
umount "$work/mnt"
port=$(free_port)
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"
job "tw://127.0.0.1:$port" "[$(drive sda "$work/ta")]"
jq '.source.allow_plain = true | .verify = "none"' "$work/job.json" >"$work/plain.json"
one() { # FILTER: the job, changed
	rm -f "$work/result.json"
	jq "$1" "$work/plain.json" >"$work/job.json"
	run_job
}
told() { [ "$(jq -r '.drives[0].copy.consistency' "$work/result.json")" = "$1" ] || fail "$(jq -c '.drives[0].copy' "$work/result.json")"; }
warned() { jq -e '.warnings // [] | map(select(.code == "SRC_CONSISTENCY")) | length > 0' "$work/result.json" >"$work/jq.log"; }
new_target "$work/ta" 16

one '.source.require_consistency = true'
expect success NONE 0
told unused
! warned || fail "a warning about nothing"
new_target "$work/ta" 16

start exclusive /usr/bin/python3 -c 'import os, sys, time
os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("has it", flush=True)
time.sleep(600)' "$loop"
wait_for 10 grep -q 'has it' "$work/exclusive.log"
one '.source.require_consistency = true'
expect failed SRC_CONSISTENCY 4
untouched "$work/ta"
one .
expect success NONE 0
told crash
warned || fail "no warning: $(jq -c .warnings "$work/result.json")"
status=0
"$worker" copy --allow-plain --require-consistency "tw://127.0.0.1:$port/sda" "$work/tc" >"$work/copy.log" 2>&1 || status=$?
[ $status = 4 ] || fail "worker copy: exit status $status: $(cat "$work/copy.log")"
[ ! -e "$work/tc" ] || fail "worker copy made its target"
stop exclusive
stop server

mount "$loop" "$work/mnt"
start server "$server" --drive "sda=$loop" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"
one '.source.require_consistency = true'
expect success NONE 0
told fs

new_target "$work/ta" 16
start qemu-nbd qemu-nbd -r -t -e 8 -f raw -x sda -k "$work/q.sock" "$work/disk"
wait_for 10 test -S "$work/q.sock"
one ".source = {url: \"nbd+unix:///?socket=$work/q.sock\", require_consistency: true}"
expect failed SRC_CONSISTENCY 4
untouched "$work/ta"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
