# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# For tests/cases/job-*.sh, over tests/lib.sh: jobs of several drives and of any source, targets
# that hold data which must survive whatever fails before the first write.
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
psk=m-1:00112233445566778899aabbccddeeff

# grep over a pipe, to its end: with -q the program in front could die of SIGPIPE.
has() { grep "$@" >"$work/grep.log"; }

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
	timeout 120 "$worker" run --job "$work/job.json" \
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
