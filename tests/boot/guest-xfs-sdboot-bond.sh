#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd-boot with its kernel on the ESP, blank variables, a root on XFS, a bond and a VLAN; SATA.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin xfs-sdboot-bond
guest_before
guest_prepare
guest_after sata
guest_said root | grep -q 'xfs' || fail "root: $(guest_said root)"
guest_said ip | grep -q '^bond0 .*192.168.77.10' || fail "bond: $(guest_said ip)"
guest_end
