#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/set-job puts a job into TWCONFIG in place of the old one and what came of it, of which no
# byte stays; what can be no job, and what is no image of ours, is refused with not one byte written.
# Each time the volume gets another identity: a key, and its sum where the BIOS loader reads it.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires sfdisk mkfs.fat mcopy mdir cmp

image=$work/volume
truncate -s 4M "$image"
printf 'label: dos\nstart=64, size=64, type=83\nstart=128, size=64, type=83\nstart=2048, size=4096, type=c\n' |
	sfdisk -q "$image"
mkfs.fat -F 12 -R 8 -n TWCONFIG --offset 2048 "$image" 2048 >"$work/mkfs.log"
printf '{"old": "%60000s secret of yesterday"}' '' | mcopy -i "$image@@1M" - ::job.json
echo '{"verdict": "success"}' | mcopy -i "$image@@1M" - ::result.json
[ "$(scripts/read-result "$image" | jq -r .verdict)" = success ] || fail "read-result reads something else"
cp "$image" "$work/before"

refused() { # TEXT IMAGE JOB
	if scripts/set-job "$2" "$3" 2>"$work/err"; then fail "$1: taken"; fi
	grep -q "$1" "$work/err" || fail "not \"$1\" but: $(cat "$work/err")"
	cmp "$2" "$work/before" || fail "$1: the image was written to"
}
echo '{"version": 1,' >"$work/cut"
refused 'cut: is no JSON object' "$image" "$work/cut"
echo '[1]' >"$work/list"
refused 'list: is no JSON object' "$image" "$work/list"
head -c 1048577 /dev/zero | tr '\0' ' ' >"$work/large"
refused 'large: a job has at most 1 MiB' "$image" "$work/large"
refused 'nothing: no such file' "$image" "$work/nothing"

echo '{"version": 1}' >"$work/job.json"
cp "$image" "$work/old"
dd if=/dev/zero of="$work/old" bs=1 seek=$((1048576 + 14)) count=1 conv=notrunc status=none
printf '\1' | dd of="$work/old" bs=1 seek=$((1048576 + 14)) conv=notrunc status=none
cp "$work/old" "$work/before"
refused 'no room for an identity' "$work/old" "$work/job.json"
truncate -s 4M "$work/other"
cp "$work/other" "$work/before"
refused 'no TWCONFIG partition' "$work/other" "$work/job.json"

scripts/set-job "$image" "$work/job.json"
[ "$(scripts/read-result "$image" job.json)" = '{"version": 1}' ] || fail "another job: $(scripts/read-result "$image" job.json)"
status=0
scripts/read-result "$image" 2>"$work/err" || status=$?
[ $status = 3 ] || fail "the old result is still there: $status"
! grep -q 'secret of yesterday' "$image" || fail "the old job is still on the volume"

# The loader's line names the sum of the key, and --word says the same.
identity()
{
	local line key

	line=$(dd if="$image" bs=512 skip=$((2048 + 4)) count=1 status=none)
	key=$(dd if="$image" bs=512 skip=$((2048 + 1)) count=1 status=none | tr -d '\0')
	[[ $key =~ ^TARGET_WORKER_ID([0-9a-f]{64})$ ]] || fail "the key: $key"
	[ "$(scripts/set-job --word "$image")" = \
		"tw.volume=$(printf %s "${BASH_REMATCH[1]}" | sha256sum | cut -d' ' -f1)" ] || fail "another sum"
	[[ $line =~ ^append\ $(scripts/set-job --word "$image")\ *$ ]] || fail "the loader's line: $line"
	echo "$key"
}
first=$(identity)
scripts/set-job "$image"
[ "$(identity)" != "$first" ] || fail "the identity did not change"
status=0
scripts/read-result "$image" job.json 2>"$work/err" || status=$?
[ $status = 3 ] || fail "without a job, the old one is still there"
