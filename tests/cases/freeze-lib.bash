# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # variables of lib.sh and of the tests
# For tests of freezing. mounted SIZE: an ext4 in $work/disk on the device $loop, at $work/mnt.
# Mounts are of this test only: another one that makes a mount namespace meanwhile would keep them.
if [ -z "${TW_OWN_MOUNTS:-}" ] && [ "$(id -u)" = 0 ]; then
	TW_OWN_MOUNTS=1 exec unshare -m --propagation private bash "$0" "$@"
fi
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
requires losetup mke2fs /usr/bin/python3
[ "$(id -u)" = 0 ] || skip "needs root for a loop device"

mounted()
{
	mke2fs -q -t ext4 "$work/disk" "$1"
	loop=$(losetup -f --show "$work/disk") || skip "no loop device to be had"
	cleanup_fn 'losetup -d "$loop"'
	mkdir "$work/mnt"
	mount "$loop" "$work/mnt"
	cleanup_fn 'wait_for 10 umount "$work/mnt"'
	# Should what is tested fail, this machine must not keep it.
	cleanup_fn 'fsfreeze -u "$work/mnt" 2>"$work/fsfreeze.out"'
}
