#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest without any initramfs tool, with a shell and programs all the same: its image gets the
# drivers from its own kernel's modules.
# limit: 2400
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin no-tool
guest_before
guest_prepare
guest_after virtio-scsi
guest_said root | grep -q '^/dev/sda1 ext4' || fail "root: $(guest_said root)"
jq -e '[.plan[].kind] | index("supplement")' "$dir/report.json" >"$dir/plan" ||
	fail "no supplement in the plan: $(jq -c .plan "$dir/report.json")"
guest_end
