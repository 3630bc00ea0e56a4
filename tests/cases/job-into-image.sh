#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# scripts/set-job puts a job into TWCONFIG in place of the old one and what came of it; what can be no
# job, and what is no image of ours, is refused with not one byte written.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires sfdisk mkfs.fat mcopy mdir cmp

image=$work/volume
truncate -s 4M "$image"
printf 'label: dos\nstart=64, size=64, type=83\nstart=128, size=64, type=83\nstart=2048, size=4096, type=c\n' |
	sfdisk -q "$image"
mkfs.fat -F 12 -n TWCONFIG --offset 2048 "$image" 2048 >"$work/mkfs.log"
echo '{"old": 1}' | mcopy -i "$image@@1M" - ::job.json
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
truncate -s 4M "$work/other"
cp "$work/other" "$work/before"
refused 'no TWCONFIG partition' "$work/other" "$work/job.json"

scripts/set-job "$image" "$work/job.json"
[ "$(scripts/read-result "$image" job.json)" = '{"version": 1}' ] || fail "another job: $(scripts/read-result "$image" job.json)"
status=0
scripts/read-result "$image" 2>"$work/err" || status=$?
[ $status = 3 ] || fail "the old result is still there: $status"
