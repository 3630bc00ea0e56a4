#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Too little room for a second initramfs, or for what is saved of the packages that go:
# PREP_NO_SPACE names the file system, and nothing was written.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
head -c 30M /dev/urandom >"$work/tree/var/data"
pack
cp "$work/disk" "$work/original"
prepare
expect PREP_NO_SPACE 7
is '.error.text | test("/ has [0-9]+ MB free and needs [0-9]+ MB")'
cmp "$work/disk" "$work/original" || fail "the disk was written to"

# Room for all but for a second copy of the old tools.
big() { head -c "$1" /dev/urandom >"$work/tree/usr/bin/vmtoolsd"; }
phony
big 15M
pack
cp "$work/disk" "$work/original"
prepare --keep-tools
[ $status = 0 ] || fail "no room even with the tools left: $(tail -n 1 "$work/prepare.log")"
cp "$work/original" "$work/disk"
prepare
expect PREP_NO_SPACE 7
is '.error.text | test("/ has [0-9]+ MB free and needs [0-9]+ MB")'
cmp "$work/disk" "$work/original" || fail "the disk was written to"
