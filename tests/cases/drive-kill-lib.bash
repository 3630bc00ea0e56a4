# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # variables of lib.sh
# For tests/cases/drive-killed-*.sh. killed worker|server: at TW_POINTS points of TW_SEED.
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
requires python3

killed()
{
	local at seed=${TW_SEED:-$RANDOM}

	echo "seed $seed"
	# Two units of the journal, data in both, and an odd end.
	truncate -s 72M "$work/src"
	for at in 0 1 40 63 70; do
		head -c 1M /dev/urandom | dd of="$work/src" bs=1M seek=$at conv=notrunc status=none
	done
	head -c 777 /dev/urandom >>"$work/src"
	python3 tests/cases/drive-kill.py "$1" "$work/src" "$work" "${TW_POINTS:-50}" "$seed" \
		"$programs" "${TW_PROGRAMS:-$top/build/worker}"
}
