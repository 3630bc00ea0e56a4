#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A copy over NBD and one of an image are interrupted, the source changes where the journal says that
# all is done, and the copy is resumed: the target is what the source is now. A source that is what it
# was is not read again; whether it is, an image tells by itself, and an export by its identity.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"

far() { grep -q "progress copy [4-9][0-9]% " "$work/copy.log" || ! kill -0 "$pid" 2>"$work/kill.err"; }
interrupted() { # ARGUMENTS...: a copy that is ended in the middle, however busy this machine is
	local rate=24 status=0
	until [ $status = 8 ]; do
		rm -f "$work/dst" "$work/j"
		"$worker" copy --json --progress --bandwidth ${rate}M --journal "$work/j" "$@" "$work/dst" \
			>"$work/copy.json" 2>"$work/copy.log" &
		pid=$!
		wait_for 60 far
		kill -TERM $pid 2>"$work/kill.err" || true
		status=0
		wait $pid || status=$?
		[[ $status = [08] && $rate -gt 1 ]] || fail "the copy ended with $status, not interrupted"
		rate=$((rate / 2))
	done
}
resumed() { # SOURCE
	good --resume --journal "$work/j" "$1" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "$1: stale: $(cmp -l "$work/src" "$work/dst" | wc -l) bytes"
}
believed() { grep -q 'the journal has [0-9]* of' "$work/copy.log"; }
# One leaf of the first 20 MiB becomes another: samples of what the journal has would hardly meet it.
change() {
	printf 'changed %s' "$RANDOM$RANDOM" |
		dd of="$work/src" bs=64k seek=$((20 + RANDOM % 300)) conv=notrunc status=none
}
head -c 64M /dev/urandom >"$work/src"

interrupted "file:$work/src"
resumed "file:$work/src"
believed || fail "the journal of an image that did not change was not believed"
[ "$(value bytes_wire)" -lt $((56 << 20)) ] || fail "all of it was read again"
interrupted "file:$work/src"
change
resumed "file:$work/src"
! believed || fail "the journal of an image that changed was believed"
# Another file in its place, with the same size and time.
interrupted "file:$work/src"
cp -p "$work/src" "$work/before"
change
touch -r "$work/before" "$work/src"
mv "$work/src" "$work/other" && cp -p "$work/other" "$work/src"
resumed "file:$work/src"

nbd -r file "$work/src"
interrupted "$uri"
resumed "$uri"
believed || fail "the journal of an export with an identity was not believed"
plain=${uri%&identity=*}
interrupted "$plain"
change
resumed "$plain"
interrupted "$uri"
change
resumed "${uri/=one/=two}"
bad USAGE "${uri/=one/=}" "$work/dst"
stop nbdkit

# A device tells nothing either.
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show -r "$work/src"); then
	cleanup_fn 'losetup -d "$loop"'
	interrupted "file:$loop"
	change
	resumed "file:$loop"
fi

# An image that is written to all the time is not taken for a copy; one write in the middle is noticed.
start writer bash -c 'while :; do printf x | dd of="$1" bs=1 conv=notrunc status=none; sleep 0.05; done' - "$work/src"
bad SRC_CHANGED --bandwidth 64M "file:$work/src" "$work/new"
stop writer
head_held "$work/new" || fail "the first MiB of a mixture was released"
