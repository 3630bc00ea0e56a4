#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# None, one and two systems on the disks; the operator decides between two, never a prompt.
# also: shipped
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
pack
inspect
is '.facts.os.id == "debian" and .facts.tools == "open-vm-tools" and .facts.firmware == "bios"'
is '.facts.kernels[0] | .version == "'$kernel'" and .in_initrd == [] and .bootable'

# Two systems, and each one's loader starts itself: nothing decides.
cp "$work/disk" "$work/first"
sed -i 's#root=/dev/sda1#root=/dev/sdb1#' "$work/tree/boot/grub/grub.cfg"
uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0003 pack
mv "$work/disk" "$work/second"
mv "$work/first" "$work/disk"
status=0
"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_MULTI_SYSTEM 7
is '.error.text | test("/dev/loop[0-9]+p1 \\(Phony Debian 12\\), /dev/loop[0-9]+p1 \\(Phony Debian 12\\)")'
is '.facts.systems | length == 2 and ([.[].chosen] == [false, false])'
is '[.facts.volumes[] | select(.system)] | length == 2'
"$worker" inspect --json --root /dev/sdb1 "$work/disk" "$work/second" >"$work/report.json" \
	2>"$work/prepare.log" || fail "--root /dev/sdb1"
is '.facts.os.id == "debian" and [.facts.systems[].chosen] == [false, true]'

# The default entry of the only loader there is decides: the last entry, on the second disk.
rm "$work/tree/boot/grub/grub.cfg"
uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0003 pack
mv "$work/disk" "$work/second"
tests/data/phony-debian "$work/other"
grub=$work/other/boot/grub/grub.cfg
# A submenu is one item of the menu, as os-prober's entries come behind one.
printf 'if [ "$next" ]; then\n\tset default="${next}"\nelse\n\tset default="2"\nfi\n%s\nsubmenu "More" {\n%s\n%s\n}\n%s\n' \
	"$(cat "$grub")" "$(cat "$grub")" "$(cat "$grub")" \
	"$(sed 's/Phony/Other/; s#/dev/sda1#/dev/sdb1#' "$grub")" >"$grub.new"
mv "$grub.new" "$grub"
tests/data/phony-disk "$work/other" "$work/disk"
"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" ||
	fail "the default entry does not decide: $(cat "$work/prepare.log")"
is '[.facts.systems[].chosen] == [false, true]'
is '.warnings | any(test("2 systems .*only /dev/loop[0-9]+p1 \\(Phony Debian 12\\) is prepared, which the default boot entry starts; not prepared: /dev/loop[0-9]+p1 \\(Phony"))'

truncate -s 64M "$work/empty"
status=0
"$worker" inspect --json "$work/empty" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_NO_SYSTEM 7
status=0
"$worker" inspect --json "$work/nowhere" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect DISK_NOT_FOUND 5

# What stands on something that this version does not open is named as that, not as "no system".
truncate -s 64M "$work/lvm"
printf 'label: dos\nstart=2048, type=8e\n' | sfdisk -q "$work/lvm"
# LVM2's label, in the second sector: id, sector number, CRC (not checked here), offset, type.
printf 'LABELONE\1\0\0\0\0\0\0\0\0\0\0\0\40\0\0\0LVM2 001' >"$work/label"
python3 - "$work/label" "$work/lvm" <<'END'
import sys

# The CRC of LVM2: polynomial of CRC-32, its own start value, over bytes 20 to 511 of the sector.
sector = bytearray(open(sys.argv[1], "rb").read().ljust(512, b"\0"))
sector[32:64] = b"abcdefghijklmnopqrstuvwxyz012345"
crc = 0xF597A6CF
for byte in sector[20:]:
    crc ^= byte
    for _ in range(8):
        crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
sector[16:20] = crc.to_bytes(4, "little")
with open(sys.argv[2], "r+b") as disk:
    disk.seek((2048 + 1) * 512)
    disk.write(sector)
END
status=0
"$worker" inspect --json "$work/lvm" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_UNSUPPORTED 7
is '.error.text | test("holds LVM2_member")'
