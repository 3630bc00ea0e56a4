#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# KVM is used when a guest of one boot sector runs on it and ends the emulator as agreed, and for no
# other answer: not for a node that is there, another exit status, a signal, or an emulator that
# hangs and does not want to end. The answer is kept until the emulator's version changes.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

mkdir "$work/bin"
cat >"$work/bin/qemu-system-x86_64" <<'END'
#!/bin/bash
[ "$1" != --version ] || { echo "QEMU emulator version $VERSION (made up)"; exit 0; }
echo "$$" >>"$ASKED"
for word; do
	case $word in
	file=*) drive=${word#file=}; drive=${drive%%,*} ;;
	kvm) kvm=yes ;;
	esac
done
[ "${kvm:-}" = yes ] || exit 3
[ "$(stat -c %s "$drive")" = 512 ] && printf '\x55\xaa' | cmp -s -i 0:510 - "$drive" || exit 4
case $HOW in
[0-9]*) exit "$HOW" ;;
crash) kill -SEGV $$ ;;
hang) trap '' TERM; while :; do sleep 0.2; done ;;
esac
END
chmod +x "$work/bin/qemu-system-x86_64"
: >"$work/kvm"

# probe WANTED TIMES HOW VERSION [VARIABLE=VALUE...]: what is said, and how often it was asked so far.
probe() {
	local got times
	# shellcheck disable=SC2016 # for the other shell
	got=$(env -u TW_ACCEL CACHE="$work/cache" TW_KVM="$work/kvm" ASKED="$work/asked" HOW="$3" \
		VERSION="$4" PATH="$work/bin:$PATH" "${@:5}" \
		bash -c 'set -euo pipefail; . qemu/lib.sh; qemu_accel' 2>"$work/said") ||
		fail "$3: $(cat "$work/said")"
	[ "$got" = "$1" ] || fail "$3: \"$got\", not $1"
	times=$(wc -l <"$work/asked")
	[ "$times" = "$2" ] || fail "$3: asked $times times, not $2"
}

: >"$work/asked"
probe tcg 0 85 0 TW_KVM="$work/none"
rm -r "$work/cache"
probe kvm 0 1 1 TW_ACCEL=kvm
probe kvm 1 85 1
probe kvm 1 1 1
probe tcg 2 1 2
probe tcg 2 85 2
probe tcg 3 0 3
probe tcg 4 crash 4
probe tcg 5 hang 5
# Ended; that its parent has not asked for its status yet is no life.
status=/proc/$(tail -n 1 "$work/asked")/status
ended() { [ ! -e "$status" ] || has '^State:.Z' "$status"; }
wait_for 10 ended
[ "$(find "$work/cache" -type f ! -name 'accel-*' | wc -l)" = 0 ] ||
	fail "something is left: $(find "$work/cache" -type f)"
