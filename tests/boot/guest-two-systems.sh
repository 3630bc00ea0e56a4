#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two systems on one disk: the default boot entry decides which one is prepared; the other one keeps
# every file, and the machine starts the first. On NVMe.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/guest-lib.bash
. "$(dirname "$0")/guest-lib.bash"
guest_begin two-systems
guest_before
# The other system's partition, byte by byte: 2 is its number.
other()
{
	local start size

	qemu-img convert -O raw "$dir/disk0.qcow2" "$dir/whole.raw"
	read -r start size < <(sfdisk --json "$dir/whole.raw" |
		jq -r '.partitiontable.partitions[1] | "\(.start) \(.size)"')
	dd if="$dir/whole.raw" bs=1M iflag=skip_bytes,count_bytes skip=$((start * 512)) \
		count=$((size * 512)) status=none | sha256sum
	rm "$dir/whole.raw"
}
before=$(other)
guest_prepare
[ "$(jq '.facts.systems | length' "$dir/report.json")" = 2 ] ||
	fail "systems: $(jq -c .facts.systems "$dir/report.json")"
[ "$(other)" = "$before" ] || fail "the other system's partition was written to"
guest_after nvme
guest_said root | grep -q '^/dev/nvme0n1p1 ext4' || fail "root: $(guest_said root)"
guest_end
