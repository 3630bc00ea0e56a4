#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 1200
# The line of a short session of the drive protocol is cut after each byte, in both directions.
# While the source is not known yet that is a named failure and no target is made; later it is
# mended without a word. With TLS, where each run takes longer, after each 16th byte.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires python3 openssl

head -c $(((1 << 20) + 3000)) /dev/urandom >"$work/src"
serve "$work/src" --allow-plain --freeze never
for end in "1:tw /sda" "16:tws /sda?psk-file=$work/psk"; do
	python3 tests/cases/drive-cut-at-every-byte.py "$worker" "$work/src" "$work" "$port" \
		"${end#*:}" "${end%%:*}"
done
! grep -qE 'AddressSanitizer|runtime error' "$work/source-server-$port.log" || fail "sanitizer report"
