#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine whose memory is used up: MEM_LOW before a source is opened or a target looked at. The
# worker is started as in the image, in namespaces of its own, over a /proc/meminfo of ours.
# also: shipped
if [ -z "${TW_IN_NAMESPACE:-}" ]; then
	exec env TW_IN_NAMESPACE=1 unshare --net --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

# image KB: runs the job with so much free memory, as in the image; sets status.
image()
{
	sed "s/^MemAvailable: .*/MemAvailable: $1 kB/" /proc/meminfo >"$work/meminfo"
	grep -q "^MemAvailable: $1 kB" "$work/meminfo" || fail "no MemAvailable here"
	mount --bind "$work/meminfo" /proc/meminfo
	status=0
	# Mode prepare needs no network. No drive has this serial: with memory that is the failure.
	as_init timeout 250 "$worker" run --job "$work/job.json" --result "$work/result.json" \
		>"$work/run.log" 2>&1 || status=$?
	umount /proc/meminfo
	# In the image the exit status is init's business.
	jq -e '.touched == false' "$work/result.json" >"$work/jq.log" || fail "touched"
	status=$(jq -r 'if .code == "NONE" then 0 else 1 end' "$work/result.json")
}

echo '{"version": 1, "migration": "m-1", "mode": "prepare",
	"drives": [{"target": {"serial": "NOT-HERE"}}]}' >"$work/job.json"
image 20479
expect_code MEM_LOW '^20479 KiB of memory are free, a copy needs 20480$'
grep -q 'READY' "$work/run.log" || fail "not in READY"
image 20480
expect_code DISK_NOT_FOUND
