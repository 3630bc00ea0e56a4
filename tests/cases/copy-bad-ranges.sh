#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With --bad-ranges a drive with bad sectors is copied around them: they are listed, the target
# holds zeroes there and not what was there before, the exit status tells.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 12
# Sectors 8000-8015 (within the data of the fourth MiB) cannot be read.
nbd -r eval get_size="stat -c %s $work/src" pread="
	end=\$((\$4 + \$3))
	if [ \$4 -lt \$((8016 * 512)) ] && [ \$end -gt \$((8000 * 512)) ]; then
		echo EIO bad sector >&2; exit 1
	fi
	dd if=$work/src iflag=skip_bytes,count_bytes skip=\$4 count=\$3 bs=64k status=none"
head -c $((12 << 20)) /dev/zero | tr '\0' x >"$work/dst"
copy --bad-ranges "$work/bad" "$uri" "$work/dst"
[ "$(value 'errors[0].code')" = SRC_READ ] || fail "code $(value 'errors[0].code')"
[ $status = 4 ] || fail "exit status $status"
[ "$(value bytes_bad)" = 8192 ] || fail "$(value bytes_bad) bad bytes"
[ "$(sort -n "$work/bad" | awk '{ s += $2 } NR == 1 { first = $1 } END { print first, s }')" = \
	"$((8000 * 512)) 8192" ] || fail "the list is: $(cat "$work/bad")"
cp "$work/src" "$work/expected"
dd if=/dev/zero of="$work/expected" bs=512 seek=8000 count=16 conv=notrunc status=none
cmp "$work/expected" "$work/dst"

# A journal does not make them forgotten: a second run tries them again and lists them again.
rm "$work/dst"
for run in 1 2; do
	copy --bad-ranges "$work/bad" --resume --journal "$work/j" "$uri" "$work/dst"
	[ "$(value bytes_bad)" = 8192 ] || fail "run $run: $(value bytes_bad) bad bytes"
	[ "$(awk '{ s += $2 } END { print s }' "$work/bad")" = 8192 ] || fail "run $run: the list"
	[ $status = 4 ] || fail "run $run: exit status $status"
done
cmp "$work/expected" "$work/dst"
