#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same kernel words and the same keys on the serial console: an image made with LAB=1 gives a
# shell that runs what is typed, a release image does not and goes off by itself.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
make --no-print-directory LAB=1 image >"$dir/make.log" 2>&1 || fail "$(tail -n 3 "$dir/make.log")"
vm_lock

# typed IMAGE: starts it without a job and types until it is off; what it showed is in $dir/screen.
typed()
{
	local limit=$((120 * scale / 4)) keys pid

	rm -f "$dir/keys"
	mkfifo "$dir/keys"
	qemu_new "$dir"
	qemu_machine 128
	qemu+=(-kernel "$1/target-worker.efi" -append "panic_on_warn=1 tw.debug=1")
	exec {keys}<>"$dir/keys"
	vm_beside timeout "$limit" "${qemu[@]}" -chardev stdio,id=tty,signal=off -serial chardev:tty \
		<"$dir/keys" >"$dir/screen" 2>"$dir/qemu.log" &
	pid=$!
	# Keys that are typed before anybody listens are lost, so again and again.
	while kill -0 "$pid" 2>&-; do
		printf 'echo lab-$((6 * 7)); poweroff\r' >&"$keys"
		sleep 1
	done
	wait "$pid" || fail "$1: QEMU ended with status $?: $(tail -n 3 "$dir/screen")"
	exec {keys}>&-
}

typed build/image-lab
grep -aq 'lab-42' "$dir/screen" || fail "no shell in the lab image: $(tail -n 5 "$dir/screen")"
grep -aq 'poweroff decided: User defined signal 2' "$dir/screen" || fail "poweroff was not obeyed"

typed "$image"
! grep -aq 'lab-42' "$dir/screen" || fail "a release image runs what is typed"
grep -aq 'CFG_MISSING: ' "$dir/screen" || fail "the worker did not run: $(tail -n 5 "$dir/screen")"
grep -aq 'poweroff decided: the worker finished' "$dir/screen" || fail "not off by itself"
