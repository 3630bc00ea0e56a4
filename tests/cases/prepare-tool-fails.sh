#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's own tool fails after it has changed files: PREP_INITRD, and the guest is as before.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
cat >"$work/tree/etc/initramfs-tools/hooks/broken" <<'END'
echo half >"/boot/initrd.img-$version"
mkdir -p /etc/left/over
echo new >/etc/left/over/file
rm -f /etc/machine-id.none
echo "hook: no space for cats"
exit 3
END
pack
list before
prepare
expect PREP_INITRD 7
grep -q 'no space for cats' "$work/prepare.log" || fail "the tool's output is not in the log"
is '.changes == []'
list after
same before after "a failed run left a difference"
