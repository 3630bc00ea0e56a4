#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trees full of links that lead to this machine, fstabs that mount over everything, hooks that put links
# where the worker goes on: each inspection, preparation and undo ends well or with a documented code,
# and no mount and no file of this machine is another one afterwards.
# limit: 1800
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
# Hundreds of runs: without sanitizers where that is built (make test does).
[ -n "${TW_PROGRAMS:-}" ] || [ ! -x build/fast/worker ] || worker=$top/build/fast/worker
codes=$(sed -n 's/^X(\([A-Z0-9_]*\),.*/\1/p' worker/base/err-codes.h)

# Two partitions: the root, and what fstab mounts.
pack_two()
{
	pack 64
	truncate -s 72M "$work/disk"
	echo '64M,8M,L' | sfdisk -q --append "$work/disk"
	cp "$work/second" "$work/second.img"
	dd if="$work/second.img" of="$work/disk" bs=1M seek=64 conv=notrunc status=none
}

# What a run of a job, which has no mount namespace of its own, leaves of this machine's.
job_run()
{
	jq -n --arg disk "$work/disk" --argjson undo "$1" '{version: 1, migration: "m-1", mode: "prepare",
		drives: [{target: {device: $disk}}], prepare: {nvram: false, undo: $undo, tool_timeout_s: 60},
		finish: "poweroff"}' >"$work/job.json"
	rm -f "$work/result.json"
	status=0
	disk_is_free
	unshare -m --propagation private bash -c '
		look() { cut -d" " -f4- /proc/self/mountinfo | grep -v "^[^ ]* /tmp/"; stat -c "%n %F %t:%T %i" /dev/null /proc/1 /sys/block /etc /run; }
		look >"$1/mounts.before" 2>&1
		"$2" run --job "$1/job.json" --result "$1/result.json" >"$1/run.log" 2>&1
		status=$?
		look >"$1/mounts.after" 2>&1
		exit $status' job_run "$work" "$worker" || status=$?
	diff "$work/mounts.before" "$work/mounts.after" >"$work/diff.log" ||
		fail "$kind: this machine's mounts are others: $(cat "$work/diff.log")"
	[ -s "$work/result.json" ] || fail "$kind: no result: $(tail -n 3 "$work/run.log")"
	judge "$(jq -r '.err.code // "NONE"' "$work/result.json")" "$(jq -r '.err.text // ""' "$work/result.json")"
}

# judge CODE TEXT: success, or a documented code that is nobody's defect
judge()
{
	[ "$status" -lt 128 ] || fail "$kind: killed: $status"
	case $1 in
	NONE) [ "$status" = 0 ] || fail "$kind: status $status without a code" ;;
	INTERNAL | NOMEM | DISK_BUSY) fail "$kind: $1: $2" ;;
	*) grep -qx "$1" <<<"$codes" || fail "$kind: $1 is not documented" ;;
	esac
	outcome+=" $1"
}

truncate -s 8M "$work/second"
mkdir -p "$work/second.tree/proc" "$work/second.tree/etc"
echo hostile >"$work/second.tree/etc/fstab"
mke2fs -q -F -t ext4 -d "$work/second.tree" "$work/second"
phony
mv "$work/tree" "$work/tree.clean"
mapfile -t kinds < <(tests/data/hostile/make-tree)
[ ${#kinds[@]} -gt 80 ] || fail "${#kinds[@]} kinds"
for kind in "${kinds[@]}"; do
	outcome=
	rm -rf "$work/tree"
	cp -a "$work/tree.clean" "$work/tree"
	tests/data/hostile/make-tree "$kind" "$work/tree"
	pack_two
	cp "$work/disk" "$work/original"
	inspect
	judge "$(jq -r '.error.code // "NONE"' "$work/report.json")" "$(jq -r '.error.text // ""' "$work/report.json")"
	cmp -s "$work/disk" "$work/original" || fail "$kind: looking changed the disk"
	job_run false
	prepared=$status
	job_run true
	case $kind in
	# The way of a mount is nothing that a preparation needs: all of it succeeds, and ends.
	hook:swap-*) [ "$prepared $status" = "0 0" ] || fail "$kind: $outcome: $(tail -n 5 "$work/run.log")" ;;
	esac
	echo "$kind:$outcome"
done
