#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine that starts again with the worker's volume still in it: JOB_DONE, no source is asked and
# no target looked at, what the volume says stays; a controller that had not taken the success has it
# then. A job without its secrets has ended, whatever its mode. The worker runs as in the image, with a network of its own. A new migration, mode delta, and
# a result that is no success go on to the drives.
if [ -z "${TW_IN_NAMESPACE:-}" ]; then
	exec env TW_IN_NAMESPACE=1 unshare --net --mount --pid --fork --kill-child "$0" "$@"
fi
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
# shellcheck source=tests/cases/job-network-lib.bash
. "$(dirname "$0")/job-network-lib.bash"
network_root
ip link set peer up
boss

# image: runs the job as init would; $work/finish is what init was told to do.
image()
{
	cp "$work/job.json" "$root/tmp/job.json"
	cp "$work/result.json" "$root/tmp/result.json"
	cp "$work/result.json" "$work/result.before"
	as_init timeout 250 chroot "$root" /bin/worker run --job /tmp/job.json \
		--result /tmp/result.json >"$work/run.log" 2>&1 ||
		fail "exit status $?: $(tail -n 3 "$work/run.log")"
	cp "$root/tmp/result.json" "$work/result.json"
	finish=$(grep '^finish ' "$work/init") || fail "init was not told how to end"
	network_down
}
# left FILTER: the result of an earlier run of the job.
left()
{
	jq '{version: 1, migration, mode, verdict: "success", state: "OFF", code: "NONE", touched: true,
		times: {written: "2026-01-02T03:04:05Z"}} | '"$1" "$work/job.json" >"$work/result.json"
}

job "nbd://192.0.2.1:5994" '[{"source": "sda", "target": {"serial": "NOT-HERE"}}]'
jq --arg mac "$mac" '. + {finish: "reboot", on_error: "reboot", report_deadline_s: 20,
	network: [{mac: $mac, address: "10.9.0.5/24"}]}' "$work/job.json" >"$work/template.json"
cp "$work/template.json" "$work/job.json"
boss_job
left .
image
jq '.acknowledged = true' "$work/result.before" | diff - <(jq . "$work/result.json") ||
	fail "the volume says something else now"
[ "$finish" = "finish poweroff" ] || fail "$finish"
grep -q 'JOB_DONE: migration m-1: ended in success at 2026-01-02T03:04:05Z' "$work/run.log" ||
	fail "the console does not say so"
"$controller" wait --state "$work/boss" m-1 --for result --timeout 20 >"$work/told.json" ||
	fail "the controller has no result"
jq -e '.verdict == "success"' "$work/told.json" >"$work/jq.log" || fail "told: $(cat "$work/told.json")"
"$controller" events --state "$work/boss" m-1 >"$work/events"
jq -es '[.[].event | select(.type == "tw.error.v1").data.err.code] == ["JOB_DONE"]' "$work/events" \
	>"$work/jq.log" || fail "the controller's events"
! grep -q 'READY' "$work/run.log" || fail "sources were opened"

# Once more, with the controller's word that it has it: nobody is asked.
left '.acknowledged = true'
image
cmp "$work/result.json" "$work/result.before" || fail "acknowledged: the volume changed"
! grep -q 'NET eth0' "$work/run.log" || fail "a network for nothing"

# goes_on FILTER-OF-JOB FILTER-OF-RESULT
goes_on()
{
	jq "$1 | .finish = \"poweroff\"" "$work/template.json" >"$work/job.json"
	left "$2"
	image
	[ "$(jq -r '"\(.code) \(.failed_in)"' "$work/result.json")" = "NET_ROUTE READY" ] ||
		fail "$1, $2: $(jq -c '{code, failed_in, err}' "$work/result.json")"
}
goes_on . '.migration = "m-0"'
goes_on '.mode = "delta"' .
goes_on '.mode = "delta"' '.mode = "full"'
goes_on . '.mode = "delta"'
goes_on . '.verdict = "failed"'
goes_on . '.verdict = "running"'

# What set-job has put there and an end has wiped: the delta is not done once more.
jq '.mode = "delta" | .source.url = "tws://192.0.2.1" |
	.source.psk = "user:00000000000000000000000000000000"' "$work/template.json" >"$work/job.json"
left .
image
[ "$finish" = "finish poweroff" ] || fail "spent: $finish"
cmp "$work/result.json" "$work/result.before" || fail "spent: the volume changed"
grep -q 'JOB_DONE: migration m-1: this job has ended and its secrets were removed' "$work/run.log" ||
	fail "spent: $(tail -n 3 "$work/run.log")"
! grep -q 'READY' "$work/run.log" || fail "spent: sources were opened"
