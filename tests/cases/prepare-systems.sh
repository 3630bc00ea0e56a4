#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# None, one and two systems on the disks; the operator decides between two, never a prompt.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
pack
inspect
is '.facts.os.id == "debian" and .facts.tools == "open-vm-tools" and .facts.firmware == "bios"'
is '.facts.kernels[0] | .version == "'$kernel'" and .in_initrd == [] and .bootable'

cp "$work/disk" "$work/second"
status=0
"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_MULTI_SYSTEM 7
is '[.facts.volumes[] | select(.system)] | length == 2'
"$worker" inspect --json --root /dev/sdb1 "$work/disk" "$work/second" >"$work/report.json" \
	2>"$work/prepare.log" || fail "--root /dev/sdb1"
is '.facts.os.id == "debian"'

truncate -s 64M "$work/empty"
status=0
"$worker" inspect --json "$work/empty" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect PREP_NO_SYSTEM 7
status=0
"$worker" inspect --json "$work/nowhere" >"$work/report.json" 2>"$work/prepare.log" || status=$?
expect DISK_NOT_FOUND 5
