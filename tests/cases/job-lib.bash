# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# For tests/cases/job-*.sh, over tests/lib.sh: jobs of several drives and of any source, targets
# that hold data which must survive whatever fails before the first write.
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
psk=m-1:00112233445566778899aabbccddeeff

# make_disk FILE MEGABYTES SEED: data that looks random, the same for the same seed.
make_disk() {
	openssl enc -aes-128-ctr -nosalt -K "$(printf %032x "$3")" -iv "$(printf %032x 0)" \
		-in <(head -c "$2M" /dev/zero) -out "$1"
}

new_target() { # FILE MEGABYTES
	make_disk "$1" "$2" 4711
	cp "$1" "$1.before"
}
untouched() {
	cmp "$1" "$1.before" || fail "$1 was written to"
}

# job SOURCE-URL DRIVES: writes $work/job.json. DRIVES is a JSON array.
job() {
	local secret=
	[[ $1 != tws://* ]] || secret=", \"psk\": \"$psk\""
	cat >"$work/job.json" <<-END
		{"version": 1, "migration": "m-1", "mode": "full",
		 "source": {"url": "$1"$secret, "stall_s": 5}, "drives": $2,
		 "prepare": false, "verify": "full"}
	END
}
drive() { # NAME TARGET-FILE
	printf '{"source": "%s", "target": {"device": "%s"}, "target_state": "pristine"}' "$1" "$2"
}

# run_job: runs it to its end; sets status. Unlike lib.sh's it keeps the result of an earlier run.
run_job() {
	status=0
	timeout 250 "$worker" run --job "$work/job.json" \
		--result "$work/result.json" >"$work/run.log" 2>&1 || status=$?
	[ -s "$work/result.json" ] || fail "no result"
	# A mount point or folder of a preparation that stays in RAM.
	! grep 'remove .*Directory not empty' "$work/run.log" || fail "something was left behind"
}

# expect VERDICT CODE EXIT-STATUS: of the last run; a failure has a sentence and a hint, and says
# the same on the console. No secret is in either.
expect() {
	local got
	got=$(jq -r '.verdict + " " + .code' "$work/result.json")
	[ "$got" = "$1 $2" ] || fail "result is \"$got\", not \"$1 $2\""
	[ "$status" = "$3" ] || fail "exit status $status, not $3"
	[ "$2" = NONE ] || expect_code "$2"
	! grep -q "${psk#*:}" "$work/result.json" "$work/run.log" || fail "a secret was printed"
}

# as_init COMMAND...: runs it with the socket that init gives to the worker, which makes it believe
# that this is the image. What it told is in $work/init, a line each.
as_init() {
	python3 - "$work/init" "$@" <<-'END'
		import socket, subprocess, sys, os
		ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		child = subprocess.Popen(sys.argv[2:], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
		                         env=dict(os.environ, TW_INIT_FD=str(theirs.fileno())))
		theirs.close()
		with open(sys.argv[1], "wb") as told:
		    while message := ours.recv(4096):
		        told.write(message + b"\n")
		        if message == b"settle":
		            ours.send(b"settled")
		sys.exit(child.wait())
	END
}

# boss: a controller; jobs made by boss_job are its own.
boss() {
	controller=$top/build/controller/controller
	boss_port=$(free_port)
	: >"$work/boss.log"
	start boss "$controller" serve --state "$work/boss" --listen "127.0.0.1:$boss_port"
	wait_for 20 grep -q '^pin ' "$work/boss.log"
	n_jobs=0
}

# boss_job [FILTER [OPTION...]]: the job in $work/job.json becomes a new migration of the controller's, and is
# changed by a jq filter then.
boss_job() {
	n_jobs=$((n_jobs + 1))
	"$controller" job new --state "$work/boss" --template "$work/job.json" \
		--migration "m-$n_jobs" --url "https://127.0.0.1:$boss_port/v1" "${@:2}" >"$work/new.json"
	jq "${1:-.}" "$work/new.json" >"$work/job.json"
}

# told CODE: the controller has the worker's result with this code, its sentence and hint, and the
# same failure as an event; result.json says that it was acknowledged.
told() {
	"$controller" wait --state "$work/boss" "m-$n_jobs" --for result --timeout 20 >"$work/told.json" ||
		fail "the controller has no result of m-$n_jobs"
	[ "$(jq -r .code "$work/told.json")" = "$1" ] ||
		fail "the controller was told $(jq -c '{verdict, err}' "$work/told.json"), not $1"
	[ "$(jq -c .err "$work/told.json")" = "$(jq -c .err "$work/result.json")" ] ||
		fail "controller and result.json were told different things"
	[ "$(jq .acknowledged "$work/result.json")" = true ] || fail "not acknowledged"
	"$controller" events --state "$work/boss" "m-$n_jobs" >"$work/events"
	jq -es --arg code "$1" '[.[].event | select(.type == "tw.error.v1").data.err] | last |
		.code == $code and (.text | length > 0) and (.hint | length > 0)' \
		"$work/events" >"$work/jq.log" || fail "the controller has no event of $1"
}
