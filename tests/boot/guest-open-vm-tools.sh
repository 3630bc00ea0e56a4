#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# UEFI without a fallback loader, disks by sdX, and open-vm-tools that a metapackage needs: the
# package stays, its services are off, and firmware with blank variables finds the loader.
# limit: 2400
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin open-vm-tools
guest_before
guest_prepare
guest_after virtio-blk
guest_said package | grep -qx 'server-meta installed' || fail "packages: $(guest_said package)"
guest_said package | grep -qx 'open-vm-tools installed' || fail "packages: $(guest_said package)"
jq -e '[.changes[].path] | any(test("open-vm-tools.service"))' "$dir/report.json" >"$dir/masked" ||
	fail "nothing switched its service off: $(jq -c '[.changes[].path]' "$dir/report.json")"
guest_end
