#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The storage behind the target runs full: DISK_FULL, and the head stays held back.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
[ "$(id -u)" = 0 ] || skip "needs root: mounts and loop devices"

make_disk "$work/sda" 24 1
mkdir "$work/mnt"
mount -t tmpfs -o size=12M none "$work/mnt"
cleanup_fn 'umount "$work/mnt"'
job "file:$work" "[$(drive sda "$work/mnt/target")]"
run_job
expect failed DISK_FULL 5
cmp -n 4096 "$work/mnt/target" /dev/zero || fail "the target looks bootable"
mount -o remount,size=40M "$work/mnt"
run_job
expect success NONE 0
cmp "$work/sda" "$work/mnt/target"
