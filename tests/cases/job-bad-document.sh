#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job with a mistake is refused before anything is started, and the key is named by its path.
# also: shipped
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 2 1
new_target "$work/target" 2
job "file:$work" "[$(drive sda "$work/target")]"
cp "$work/job.json" "$work/good.json"

# refused JQ-EDIT MESSAGE
refused() {
	jq "$1" "$work/good.json" >"$work/job.json"
	run_job
	expect failed CFG_INVALID 2
	jq -r .err.text "$work/result.json" | has -F "$2" || fail "the sentence lacks \"$2\""
	untouched "$work/target"
	if "$worker" check-job "$work/job.json" >"$work/check.log" 2>&1; then
		fail "check-job accepts it"
	fi
	grep -qF "$2" "$work/check.log" || fail "check-job does not say \"$2\""
	[ "$("$worker" check-job --json "$work/job.json" | jq -r .code)" = CFG_INVALID ]
}
refused '.colour = 1' 'colour: unknown key'
refused '.drives[0].target.sreial = "x"' 'drives[0].target.sreial: unknown key'
refused '.drives[0].target = {"serial": 7}' 'drives[0].target.serial: must be a string'
refused '.drives[0].target.serial = "x"' 'drives[0].target: needs exactly one'
refused '.bandwidth = "fast"' 'bandwidth: is not a rate'
refused 'del(.source)' 'source: missing'
refused '.version = 2' 'version: must be 1'

"$worker" check-job "$work/good.json" | has 'a valid job: migration m-1, mode full, 1 drive$'
printf '{"version": 1,' >"$work/job.json"
run_job
expect failed CFG_INVALID 2
rm "$work/job.json"
status=0
"$worker" run --job "$work/job.json" --result "$work/result.json" >"$work/run.log" 2>&1 || status=$?
expect failed CFG_MISSING 2
untouched "$work/target"
