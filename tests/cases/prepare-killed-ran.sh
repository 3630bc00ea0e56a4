#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A preparation was killed, and then the guest was started and worked with: the next preparation does
# not take the guest's new files for those of its own killed tools, and its undo keeps them. A line of
# the undo log that was cut short does not hide the next one.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

# step_of REGEX: the number of the last step that is like this.
step_of() { grep -E "$1" "$work/steps" | tail -n 1 | cut -d' ' -f1; }

make_guest 'echo fine'
kill_at 0
saved=$(step_of ' renameat .*/boot/grub/grub.cfg$')
[ -n "$saved" ] || fail "no step changes grub.cfg"

# In the middle of a line: here the change that it speaks of has not been made.
cp --sparse=always "$work/base" "$work/disk"
line=$(awk -v last="$saved" '$1 < last && $2 == "write" && $3 ~ /\/journal$/ { n = $1 } END { print n + 1 }' "$work/steps")
kill_at "$line"
[ "$status" = 0 ] || fail "it was not killed"
change 'truncate -s -10 var/lib/target-worker/000001/journal'
prepare
[ "$status" = 0 ] || fail "prepare behind a line cut short: exit status $status"
prepare --undo
[ "$status" = 0 ] || fail "undo behind a line cut short: exit status $status"
everything now
same before now "a line cut short: undo left a difference"

# Killed with a new file half-written, started, worked with.
cp --sparse=always "$work/base" "$work/disk"
kill_at 0
link=$(step_of ' renameat .*/10-target-worker-ens192.link$')
[ -n "$link" ] || fail "no step makes the link file"
cp --sparse=always "$work/base" "$work/disk"
kill_at "$link"
[ "$status" = 0 ] || fail "it was not killed"
change 'echo boot >>var/log/wtmp; echo data >var/lib/database; echo "# mine" >>etc/fstab'
cp --sparse=always "$work/disk" "$work/ran.disk"
list ran
prepare
[ "$status" = 0 ] || fail "prepare after a start: exit status $status"
is '.warnings | any(test("interrupted preparation was found, and the guest has been started since"))'
prepare --undo
[ "$status" = 0 ] || fail "undo after a start: exit status $status"
list now
grep -v -e /000001/journal -e '\.tw-new' "$work/ran" >"$work/expected"
grep -v -e /000001/journal -e '\.tw-new' "$work/now" >"$work/rest"
same expected rest "undo lost what was done since"

mv "$work/ran.disk" "$work/disk"
prepare --undo --edited keep
expect PREP_EDITED 7
prepare --undo --edited restore
[ "$status" = 0 ] || fail "restore: exit status $status"
within '[ -e var/lib/database ] && cmp etc/fstab etc/fstab.same && [ ! -e var/lib/target-worker ] &&
	[ ! -e etc/systemd/network ]' ||
	fail "restore: the new file went, or the old ones are not back"
