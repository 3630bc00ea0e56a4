#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A target that is missing, too small, write protected or mounted is refused before any write,
# also when it is only the second one.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
[ "$(id -u)" = 0 ] || skip "needs root: mounts and loop devices"
attach() { # FILE [OPTION]: sets loop
	loop=$(losetup --find --show "${@:2}" "$1")
	cleanup_fn losetup -d "$loop"
}

make_disk "$work/sda" 4 1
make_disk "$work/sdb" 4 2
new_target "$work/first" 4

# second TARGET CODE: the first drive is fine.
second() {
	job "file:$work" "[$(drive sda "$work/first"), {\"source\": \"sdb\", \"target\": $1}]"
	run_job
	expect failed "$2" 5
	untouched "$work/first"
}
second '{"serial": "no-such-serial"}' DISK_NOT_FOUND
second '{"wwn": "naa.0123456789abcdef"}' DISK_NOT_FOUND
second '{"path": "pci-0000:ff:1f.7-scsi-0:0:77:0"}' DISK_NOT_FOUND

new_target "$work/small" 3
attach "$work/small"
second "{\"device\": \"$loop\"}" DISK_SMALL
untouched "$work/small"

new_target "$work/ro" 4
attach "$work/ro" --read-only
second "{\"device\": \"$loop\"}" DISK_RO
untouched "$work/ro"

truncate -s 16M "$work/used"
mkfs.ext4 -q "$work/used"
attach "$work/used"
mkdir "$work/mnt"
mount "$loop" "$work/mnt"
cleanup_fn 'umount "$work/mnt"'
second "{\"device\": \"$loop\"}" DISK_BUSY
