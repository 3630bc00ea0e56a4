#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The ACPI power button ends the worker in order, and the machine goes off even when the worker
# ignores TERM: after the grace period.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin

boot_worker <<'END'
trap 'echo "worker got TERM"' TERM
tell allow 600
echo ready
while :; do sleep 1; done
END
qemu_machine 128
boot_kernel tw.grace=3
limit=$((60 * scale / 4))
vm_start boot $limit "${qemu[@]:1}"
vm_wait_serial boot $limit '^ready' || fail "the worker did not start"
vm_qmp boot '{"execute":"system_powerdown"}' >/dev/null
vm_wait boot $limit $limit || fail "the machine did not power off"

expect_off guest-shutdown
expect_serial 'poweroff decided: power button'
expect_serial '^worker got TERM'
expect_serial 'the worker does not end in time'
