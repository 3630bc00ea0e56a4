#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A root on LVM beside a /boot of its own, MODULES=dep, NetworkManager.
# limit: 2400
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin lvm
guest_before
guest_prepare
guest_after virtio-blk
guest_said root | grep -q '^/dev/mapper/vg0-root ext4' || fail "root: $(guest_said root)"
guest_said mount | grep -q '^/boot /dev/vda1' || fail "/boot: $(guest_said mount)"
guest_said swap | grep -q . || fail "no swap"
guest_end
