#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The order of what goes to the disk, so that a machine that loses power can be undone as well as a
# worker that is killed: a backup, and then the line of the undo log, are through before the change that
# they speak of; a new file is through before it takes the old one's place; all changes are before the
# log says that it is complete, or played back; and only then the first backup goes.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

# in_order WHAT: $work/steps has no call too early. At its end, `changes` guest's files were changed.
in_order()
{
	awk '
	function early(what) { print "step " $1 " (" $2 " " path "): " what; bad = 1 }
	{ path = $3; own = path ~ /\/var\/lib\/target-worker/; new = path ~ /\.tw-new$/ }
	line && !($2 == "fsync" && path == log_path) { early("a line of the log is not through") }
	$2 == "fsync" { line = 0; delete unwritten[path]; delete unnamed[path] }
	$2 == "syncfs" { changed = 0 }
	$2 ~ /^(write|ftruncate|setxattr|fsetxattr|fchmod|fchown)$/ && new { unwritten[path] = 1 }
	$2 == "write" && path ~ /\/journal$/ {
		for (i in unnamed) early("the name of a backup is not through in " i)
		line = 1
		log_path = path
		since_log = 0
		complete = !changed
	}
	$2 == "renameat" {
		if (path ".tw-new" in unwritten) early("the new file is not through")
		if (path ~ /\/files\/[0-9]+$/) unnamed[substr(path, 1, match(path, /\/[0-9]+$/) - 1)] = 1
	}
	$2 ~ /^(renameat|unlinkat|mkdirat)$/ && !own && !new && path ~ /\/guest\// {
		changed = 1
		changes++
		if (!log_path) early("nothing was noted before")
	}
	$2 == "unlinkat" && path ~ /\/files\/[0-9]+$/ && (!complete || changed) { early("a backup goes") }
	END {
		if (!complete || changed) early("the end is noted before all is through")
		print changes + 0 " changes"
		exit bad || changes < 5
	}' "$work/steps" >"$work/order.log" || fail "$1: $(cat "$work/order.log")"
	echo "$1: $(tail -n 1 "$work/order.log")"
}

make_guest 'echo fine'
kill_at 0
[ "$status" = 0 ] || fail "prepare: exit status $status"
in_order preparation
kill_at 0 --undo
[ "$status" = 0 ] || fail "undo: exit status $status"
in_order undo
make_guest 'echo junk >/etc/junk; exit 1'
kill_at 0
[ "$status" = 7 ] || fail "a preparation that fails: exit status $status"
in_order rollback
