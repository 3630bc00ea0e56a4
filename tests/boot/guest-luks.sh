#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An encrypted root, opened with the key of the job.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin luks
guest_before
guest_prepare --key "$guest_dir/luks.key"
guest_after virtio-blk
guest_said root | grep -q '^/dev/mapper/root_crypt ext4' || fail "root: $(guest_said root)"
guest_end
