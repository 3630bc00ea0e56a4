# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# For tests/cases/job-*.sh: `worker run --job` on this host, files as drives. $work is the scratch
# folder; everything started by `spawn` ends with the test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

worker=${WORKER:-$PWD/build/host/worker}
source_server=$PWD/build/host/source-server
psk=m-1:00112233445566778899aabbccddeeff
work=$(mktemp -d "${TMPDIR:-/tmp}/tw-job.XXXXXX")
pids=()

[ -x "$worker" ] || { echo "missing $worker: run make build/host/worker"; exit 1; }

# A test that mounts or attaches something defines its own cleanup.
cleanup() { :; }
finish() {
	local status=$?
	cleanup
	for pid in "${pids[@]}"; do
		if kill -0 "$pid" 2>"$work/kill.log"; then
			kill -9 "$pid"
		fi
		wait "$pid" 2>"$work/kill.log" || :
	done
	if [ $status != 0 ]; then
		tail -n 30 "$work"/*.log "$work/result.json" || :
	fi
	rm -rf "$work"
	exit $status
}
trap finish EXIT

# grep over a pipe, to its end: with -q the program in front could die of SIGPIPE.
has() { grep "$@" >"$work/grep.log"; }

fail() { echo "FAILED: $*"; exit 1; }

# spawn NAME COMMAND...: in the background, output in $work/NAME.log; sets pid.
spawn() {
	local name=$1
	shift
	"$@" >"$work/$name.log" 2>&1 &
	pid=$!
	pids+=("$pid")
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" 2>"$work/wait.log"; do
		[ $SECONDS -lt $end ] || fail "in time: $*"
		sleep 0.1
	done
}

# A port nobody listens on at this moment.
free_port() {
	python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
open_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

# make_disk FILE MEGABYTES SEED: data that looks random, the same for the same seed.
make_disk() {
	openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$3")" -iv "$(printf %032x 0)" \
		-in <(head -c "$2M" /dev/zero) -out "$1"
}

# new_target FILE MEGABYTES: holds data that must survive whatever fails before the first write.
new_target() {
	make_disk "$1" "$2" 4711
	cp "$1" "$1.before"
}
untouched() {
	cmp "$1" "$1.before" || fail "$1 was written to"
}

# job SOURCE-URL DRIVES [MORE-KEYS]: writes $work/job.json. DRIVES is a JSON array.
job() {
	local secret=
	[[ $1 != tws://* ]] || secret=", \"psk\": \"$psk\""
	cat >"$work/job.json" <<-END
		{"version": 1, "migration": "m-1", "mode": "full",
		 "source": {"url": "$1"$secret, "stall_s": 5}, "drives": $2,
		 "prepare": false, "verify": "full"${3:+, $3}}
	END
}
drive() { # NAME TARGET-FILE
	printf '{"source": "%s", "target": {"device": "%s"}, "target_state": "pristine"}' "$1" "$2"
}

# run_job: runs it to its end; sets status. Log in run.log.
run_job() {
	status=0
	timeout "${limit:-120}" "$worker" run --job "$work/job.json" \
		--result "$work/result.json" >"$work/run.log" 2>&1 || status=$?
	[ -s "$work/result.json" ] || fail "no result"
}

# expect VERDICT CODE EXIT-STATUS: of the last run; a failure has a sentence and a hint, and says
# the same on the console.
expect() {
	local got
	got=$(jq -r '.verdict + " " + .code' "$work/result.json")
	[ "$got" = "$1 $2" ] || fail "result is \"$got\", not \"$1 $2\""
	[ "$status" = "$3" ] || fail "exit status $status, not $3"
	if [ "$2" != NONE ]; then
		jq -e '.err | (.text | length > 0) and (.hint | length > 0) and
			(.retryable | type == "boolean")' "$work/result.json" >"$work/jq.log" ||
			fail "no sentence or hint"
		grep -q " $2: " "$work/run.log" || fail "the console does not say $2"
	fi
	! grep -q "${psk#*:}" "$work/result.json" "$work/run.log" || fail "a secret was printed"
}
