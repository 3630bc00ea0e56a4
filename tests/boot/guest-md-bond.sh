#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# RAID1 of two disks, a bond of two adapters with a VLAN on it: both halves of each come back.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin md-bond
guest_before
guest_prepare
guest_after virtio-blk
guest_said root | grep -q '^/dev/md.* ext4' || fail "root: $(guest_said root)"
guest_said ip | grep -q '^bond0 .*192.168.77.10' || fail "bond: $(guest_said ip)"
guest_said ip | grep -q '^bond0.20@bond0 .*192.168.20.10' || fail "VLAN: $(guest_said ip)"
guest_end
