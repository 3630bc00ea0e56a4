#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A drive without a system: the copy is right, preparing it is PREP_NO_SYSTEM, and nothing that
# firmware would start from is written.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 8 1
echo '2048,,L,*' | sfdisk -q --label dos "$work/sda"
job "file:$work" "[$(drive sda "$work/target")]"
jq '.prepare = {"nvram": false}' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
run_job
expect failed PREP_NO_SYSTEM 7
grep -Eq 'no root file system on 1 volume \(/dev/[a-z0-9]+: nothing known\)' "$work/run.log" || fail "what was found instead is not said"
jq -e '.failed_in == "PREPARE" and (.drives[0] | .copied and (.committed | not))' \
	"$work/result.json" >"$work/jq.log" || fail "result"
if cmp -s -n 440 "$work/sda" "$work/target"; then
	fail "boot code was written"
fi
cmp -i 1048576 "$work/sda" "$work/target"
