#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# LVM, dracut and systemd-boot, whose kernel and initramfs lie on the ESP; blank variables.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin lvm-sdboot-dracut
guest_before
guest_prepare
guest_after virtio-scsi
guest_said root | grep -q '^/dev/mapper/vg0-root ext4' || fail "root: $(guest_said root)"
guest_end
