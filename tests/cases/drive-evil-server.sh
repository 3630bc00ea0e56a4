#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A server of the drive protocol that lies, under a sanitized worker: each lie ends in a code, with
# nothing released of the target, or in the right bytes; never in a crash or a hang.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires /usr/bin/python3
copy_limit=120

start evil /usr/bin/python3 tests/cases/drive-evil-server.py "$work/port"
wait_for 60 test -s "$work/port"
uri=tw://127.0.0.1:$(cat "$work/port")/sda
lied=0
evil() { # LIE: a copy from who tells it
	rm -f "$work/dst"
	copy --allow-plain --connections 1 --job-id "$1.$((++lied))" "${options[@]}" "$uri" "$work/dst"
}
lie=
# refused CODE LIE...: the copy ends with the code; of the target nothing was made, or it is held.
refused() {
	local code=$1
	shift
	for lie; do
		evil "$lie"
		[ $status != 0 ] || fail "$lie: believed"
		[ "$(value 'errors[0].code')" = "$code" ] ||
			fail "$lie: $(value 'errors[0].code') $(value 'errors[0].text')"
		[ ! -e "$work/dst" ] || head_held "$work/dst" || fail "$lie: first MiB released"
		LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f]' "$work/copy.log" && fail "$lie: control characters"
	done
	return 0
}
# harmless LIE...: the copy ends well and the target is right.
harmless() {
	for lie; do
		evil "$lie"
		[ $status = 0 ] || fail "$lie: $(tail -n 2 "$work/copy.log")"
		cmp "$work/expected" "$work/dst" || fail "$lie: the target is wrong"
	done
}
options=()
head -c 4M /dev/zero | tr '\0' '\253' >"$work/expected"

# The greeting and the list of drives.
refused SRC_VERSION version-0 version-2 no-hash must-unknown disk-must-unknown bye-version
refused SRC_PROTO field-too-long half-field short-number welcome-for-other half-disk no-size no-state \
	no-credit max-read-0 no-connections field-twice disk-field-twice disk-twice
refused SRC_SIZE negative-size huge-size sector-3 sector-huge other-size
refused SRC_NO_DRIVE no-disks other-name
refused SRC_TLS bye-tls
harmless all-features much-credit max-read-odd many-connections may-unknown build-text sector-0

# What of the drive is zeroes.
refused SRC_PROTO extent-empty extent-long extent-far extent-wraps extent-4g extents-none \
	extents-many extents-odd extent-tail extent-flags
harmless extents-early extent-kind

# Data: frames that do not fit the request or themselves, and then content that does not fit its
# hash. The latter is asked for again; what stays damaged fails the copy.
refused SRC_PROTO never-asked twice other-offset offset-4g short short-told long long-told no-data \
	half-bitmap missing-hash same-in-read bit-outside both-bitmaps raw-4g lz4-empty lz4-longer \
	flag-unknown lz4-and-more error-flags reply-type unknown-type request-type error-never-asked wrong-magic wrong-crc length-4g length-over
refused VERIFY_HASH wrong-hash wrong-byte lz4-truncated lz4-garbage lz4-bomb
refused SRC_READ error-4g error-0 error-text
harmless none lz4-honest wrong-hash-once lz4-truncated-once may-skip-type progress-of-nothing pings pongs

# READ_IF_DIFF, after a copy that was right.
options=(--verify=full)
harmless none
refused SRC_PROTO diff-bit-outside diff-both-bitmaps diff-short
refused VERIFY_HASH diff-differs
# The journal of a copy that never was.
options=(--resume)
harmless journal-full journal-long journal-huge
# Another state in each connection: what two of them read does not belong together.
options=(--connections 2)
refused SRC_CHANGED state-changes
options=()
harmless wrong-done # the journal is lost, the copy is not

# Sizes around 2^32: data in the last MiB, and nothing else takes room.
tail -c 1M "$work/expected" >"$work/last"
for size in 4294967295 4294967296 4294967297; do
	evil size-$size
	[ $status = 0 ] || fail "size $size: $(tail -n 2 "$work/copy.log")"
	[ "$(stat -c %s "$work/dst")" = $size ] || fail "size $size: $(stat -c %s "$work/dst")"
	cmp -i $((size - (1 << 20))):0 "$work/dst" "$work/last" || fail "size $size: wrong end"
	[ "$(du -k "$work/dst" | cut -f 1)" -le 2200 ] || fail "size $size: written elsewhere"
done
! grep -q Traceback "$work/evil.log" || fail "the liar broke down"
