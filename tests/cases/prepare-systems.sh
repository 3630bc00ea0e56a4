#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# None, one and two systems on the disks; the operator decides between two, never a prompt.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
pack
inspect
is '.facts.os.id == "debian" and .facts.tools == "open-vm-tools" and .facts.firmware == "bios"'
is '.facts.kernels[0] | .version == "'$kernel'" and .in_initrd == [] and .bootable'

cp "$work/disk" "$work/second"
status=0
"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_MULTI_SYSTEM 7
is '[.facts.volumes[] | select(.system)] | length == 2'
"$worker" inspect --json --root /dev/sdb1 "$work/disk" "$work/second" >"$work/report.json" \
	2>"$work/prepare.log" || fail "--root /dev/sdb1"
is '.facts.os.id == "debian"'

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
