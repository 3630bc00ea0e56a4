#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A hibernation image in the swap: the report says so, and the guest starts afresh.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin hibernated
guest_before
guest_prepare
jq -e '.warnings | any(test("hibernat"))' "$dir/report.json" >"$dir/warned" ||
	fail "no warning: $(jq -c .warnings "$dir/report.json")"
guest_after virtio-blk
guest_end
