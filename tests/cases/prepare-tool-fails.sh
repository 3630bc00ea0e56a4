#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's own tool fails after it has changed files: PREP_INITRD. It says that all is well and
# has left virtio's drivers out, or an image that is none: PREP_VERIFY. The guest is as before.
# also: shipped
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

# bad IMAGE-COMMAND REGEX: the tool ends well and leaves what the command prints.
bad()
{
	printf '#!/bin/sh\nset -e\n%s >"/boot/initrd.img-%s"\n' "$1" "$kernel" \
		>"$work/tree/usr/sbin/update-initramfs"
	unbelieved "$2"
}
rm "$work/tree/etc/initramfs-tools/hooks/broken"
bad 'cd /lib/modules && find . -name "vmw_*" | cpio -o -H newc | gzip -n' \
	"^the new /boot/initrd.img-$kernel lacks virtio drivers"
bad 'echo nothing' "^the new /boot/initrd.img-$kernel (lacks virtio drivers|cannot be read)"
