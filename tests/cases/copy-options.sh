#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What somebody may type at worker copy: wrong values, options that do not go together or that the source
# knows nothing of, targets that are none, the source itself as target. Each gets one sentence that names
# what is wrong, a code, with --json the result, and writes nothing.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
src=$work/src dst=$work/dst
make_source "$src" 4
cp "$src" "$src.before"

# wrong CODE STATUS WORDS ARGUMENTS...: the sentence holds WORDS; nothing is made or changed.
wrong() {
	local code=$1 want=$2 words=$3
	shift 3
	bad "$code" "$@"
	[ "$status" = "$want" ] || fail "$*: exit status $status, not $want"
	[[ $(value 'errors[0].text') == *"$words"* ]] || fail "$*: \"$(value 'errors[0].text')\" has no \"$words\""
	grep -qF "worker copy: $code: " "$work/copy.log" || fail "$*: no sentence on the console"
	[ ! -e "$dst" ] || fail "$*: a target was made"
	cmp "$src" "$src.before" || fail "$*: the source was written to"
}
usage() { wrong USAGE 2 "$@"; }

usage "not 0 words"
usage "not 1 words" "file:$src"
usage "not 3 words" "file:$src" "$dst" more
usage "unknown option --nonsense" --nonsense "file:$src" "$dst"
usage "--verify needs a value" "file:$src" "$dst" --verify
usage "--delta takes no value" --delta=yes "file:$src" "$dst"
usage '--verify: "maybe" is not none, sample or full' --verify=maybe "file:$src" "$dst"
for value in 0 17 -1 x 1.5 ''; do
	usage "--connections: \"$value\" is not a number from 1 to 16" --connections "$value" "file:$src" "$dst"
done
for value in 0 -5 10X 99999999999999T M; do
	usage "--bandwidth: \"$value\" is not a rate" --bandwidth "$value" "file:$src" "$dst"
done
usage "--memory: \"1\" is not a size from 1M to 64M" --memory 1 "file:$src" "$dst"
usage "--memory: \"1G\" is not" --memory 1G "file:$src" "$dst"
usage "--stall: \"0\" is not" --stall 0 "file:$src" "$dst"
usage "--live-passes: \"101\" is not" --live-passes 101 "file:$src" "$dst"
usage "--downtime needs --live-passes" --downtime 5 "file:$src" "$dst"
usage "--job-id: " --job-id "$(printf 'x%.0s' {1..128})" "file:$src" "$dst"
usage "--job-id: " --job-id $'a\nb' "file:$src" "$dst"

# What only another kind of source has.
usage "need --delta" --bitmap b0 "file:$src" "$dst"
usage "only NBD servers have dirty bitmaps" --delta --bitmap b0 "file:$src" "$dst"
usage "only NBD servers have dirty bitmaps" --delta --bitmap b0 --allow-plain tw://127.0.0.1:1/sda "$dst"
usage "only source-server" --delta --since x nbd://127.0.0.1:1/ "$dst"
usage "exclude --live-passes" --delta --since x --live-passes 2 --allow-plain tw://127.0.0.1:1/sda "$dst"

# Sources and their keys.
usage "source: " '' "$dst"
usage "source: unknown scheme" ftp://h/ "$dst"
usage "host and port" nbd://127.0.0.1:99999/ "$dst"
usage "expected" --allow-plain tw://127.0.0.1:1/ "$dst"
usage "needs a pre-shared key" tws://127.0.0.1:1/sda "$dst"
usage "$work/none" "tws://127.0.0.1:1/sda?psk-file=$work/none" "$dst"
usage "$src" "nbds://127.0.0.1:1/?tls-psk-file=$src" "$dst"
wrong SRC_TLS 4 "not encrypted" tw://127.0.0.1:1/sda "$dst"
wrong SRC_NO_DRIVE 4 "No such file" "file:$work/none" "$dst"
wrong SRC_NO_DRIVE 4 "neither a block device nor a file" "file:$work" "$dst"
mkfifo "$work/fifo"
wrong SRC_NO_DRIVE 4 "neither a block device nor a file" "file:$work/fifo" "$dst"
wrong SRC_NO_DRIVE 4 "neither a block device nor a file" file:/dev/zero "$dst"

# Targets.
usage 'the target "" is not' "file:$src" ''
usage "is not the path of" "file:$src" nbd://127.0.0.1:1/
for target in "$work" /dev/null "$work/fifo"; do
	wrong DISK_NOT_FOUND 5 "$target is neither a block device nor a file" "file:$src" "$target"
done
wrong DISK_NOT_FOUND 5 "No such file" "file:$src" "$work/none/dst"
wrong DISK_NOT_FOUND 5 "No such file" "file:$src" /dev/no-such-disk
[ ! -e /dev/no-such-disk ] || { rm /dev/no-such-disk; fail "a file was made among the devices"; }
ln "$src" "$work/hard"
ln -s "$src" "$work/soft"
for target in "$src" "$work/hard" "$work/soft" "file:$src"; do
	wrong DISK_BUSY 5 "is the source itself" "file:$src" "$target"
	wrong DISK_BUSY 5 "is the source itself" --delta --resume "file:$src" "$target"
done
if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show "$src" 2>"$work/losetup.log"); then
	cleanup_fn 'losetup -d "$loop"'
	wrong DISK_BUSY 5 "is the source itself" "file:$src" "$loop"
	wrong DISK_BUSY 5 "is the source itself" "file:$loop" "$src"
	wrong DISK_BUSY 5 "is the source itself" "file:$loop" "$loop"
fi

# Files beside the copy that cannot be had.
usage "create $work/none/bad" --bad-ranges "$work/none/bad" "file:$src" "$work/there"
usage "keep a journal in $work/none" --journal "$work/none/journal" "file:$src" "$work/there"
rm -f "$work/there"

# And what is right: a link to a file that is not there yet, file: in front of it, odd company.
ln -s dst "$work/link"
good "file:$src" "$work/link"
cmp "$src" "$dst"
good --resume --delta --target-zero "file:$src" "file:$dst"
cmp "$src" "$dst"
[ "$(value bytes_equal)" -gt 0 ] || fail "nothing was equal"
head -c 100000 "$src" >"$work/short"
good "file:$src" "$work/short"
cmp "$src" "$work/short"
for form in --verify=full "--verify full" "--bandwidth 1G" "--memory 64M" "--live-passes 2 --downtime 1"; do
	rm "$dst"
	# shellcheck disable=SC2086 # two words
	good $form "file:$src" "$dst"
	cmp "$src" "$dst" || fail "$form"
done

# On a terminal the progress is one line that is drawn again, a bar with its rate.
rm "$dst"
python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
	"$worker" copy --progress "file:$src" "$dst" >"$work/terminal" </dev/null || fail "copy on a terminal: $(cat "$work/terminal")"
cmp "$src" "$dst"
tr '\r' '\n' <"$work/terminal" >"$work/drawn"
grep -qE $'^\033\\[K#{30} 100% [a-z]+ 4 of 4 MiB durable, [0-9.]+ MiB/s' "$work/drawn" ||
	fail "no bar: $(cat -v "$work/terminal")"
! grep -q '^progress ' "$work/drawn" || fail "lines on a terminal"
