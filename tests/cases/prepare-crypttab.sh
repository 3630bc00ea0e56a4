#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root that Debian's initramfs opens by its own crypttab: the hook of cryptsetup finds that out by
# device-mapper, which it cannot reach in the cell, so its tool sees the volumes marked. The guest's file
# stays as it is, and an image that has lost a volume is not accepted. (The hook here is a stand-in that
# does what the real one does; boot/guest-luks has the real one.)
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

# guest HOOK: a guest whose old image opens root_crypt.
guest()
{
	phony
	printf 'root_crypt /dev/sda1 none luks,discard\nlater UUID=2 none luks\n' >"$work/tree/etc/crypttab"
	mkdir -p "$work/old/cryptroot" "$work/tree/etc/initramfs-tools/hooks"
	echo 'root_crypt UUID=1 none luks,discard' >"$work/old/cryptroot/crypttab"
	(cd "$work/old" && find . | cpio --quiet -o -H newc | gzip -n >"$work/tree/boot/initrd.img-$kernel")
	# The stand-in of the tool takes everything below this folder into the image.
	sed -i 's|^cd /var/tmp/mkinitramfs$|&\nmkdir cryptroot \&\& sh /etc/initramfs-tools/cryptroot >cryptroot/crypttab|' \
		"$work/tree/usr/sbin/update-initramfs"
	echo "$1" >"$work/tree/etc/initramfs-tools/cryptroot"
	pack
}

guest 'grep "[ ,]initramfs" /etc/crypttab || true'
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '.verdict == "boots"'
[ "$(show /etc/crypttab)" = "root_crypt UUID=$(jq -r '.facts.volumes[0].uuid' "$work/report.json") none luks,discard
later UUID=2 none luks" ] || fail "crypttab: $(show /etc/crypttab)"
show "/boot/initrd.img-$kernel" | zcat | cpio --quiet -i --to-stdout '*cryptroot/crypttab' >"$work/in-image"
grep -qx 'root_crypt UUID=[-0-9a-f]* none luks,discard,initramfs' "$work/in-image" ||
	fail "the image opens: $(cat "$work/in-image")"
if grep -q later "$work/in-image"; then fail "what the old image did not open is marked, too"; fi
prepare
is '.plan == []'

guest true
list before
prepare
expect PREP_VERIFY 7
is '.error.text | test("does not open the encrypted volume root_crypt as the old one did")'
list after
same before after "an image that opens nothing: the guest is not as before"
