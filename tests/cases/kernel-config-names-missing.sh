#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel configuration that asks for what the kernel does not have, for a driver whose bus is
# missing, or for a symbol to be off that something else turns on, fails and names each of them;
# the configuration that ships passes.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
cache=${KERNEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/target-worker/kernel}
src=
for d in "$cache"/src-*; do
	[ ! -e "$d/.complete" ] || src=$d
done
[ -n "$src" ] || fail "no kernel source in $cache: run make kernel"

scripts/build-kernel-config kernel-config "$src" "$work/good" >"$work/good.log" ||
	fail "the configuration that ships does not pass: $(tail -n 1 "$work/good.log")"

mkdir "$work/fragments"
cp kernel-config/*.config "$work/fragments/"
cat >"$work/fragments/99-wrong.config" <<'END'
CONFIG_NO_SUCH_DRIVER=y
CONFIG_SCSI_DEBUG=m
# CONFIG_CRC32 is not set
CONFIG_HWMON_VID=y
END
status=0
scripts/build-kernel-config "$work/fragments" "$src" "$work/bad" >"$work/bad.log" 2>&1 || status=$?
[ $status -ne 0 ] || fail "a wrong configuration passes"
for symbol in NO_SUCH_DRIVER SCSI_DEBUG CRC32 HWMON_VID; do
	grep -q "99-wrong.config: asked for '.*CONFIG_${symbol}[ =]" "$work/bad.log" ||
		fail "CONFIG_$symbol is not named: $(cat "$work/bad.log")"
done
grep -q ': 4 requested symbols are not as asked for' "$work/bad.log" || fail "not exactly four"
