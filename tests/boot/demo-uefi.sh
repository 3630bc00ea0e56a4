#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The whole demo on UEFI with empty NVRAM: every step of the sequence, all witnesses agree, the clone answers, every
# file is the same.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat jq mmdebstrap

qemu/migrate --firmware uefi
[ -s build/demo/debian12-uefi/comparison.txt ] || fail "no comparison was left"
grep -q '^volume success, channel OFF, controller success, monitor guest-shutdown$' \
	build/demo/debian12-uefi/verdict || fail "verdict: $(cat build/demo/debian12-uefi/verdict)"
