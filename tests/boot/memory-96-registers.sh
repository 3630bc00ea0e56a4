#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A BIOS machine with 96 MB registers with its controller, from a volume with the job in it.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/memory-lib.bash
. "$(dirname "$0")/memory-lib.bash"
boot_begin
memory_servers 8
memory_machine 96
boot_run 120 60 || fail "the machine did not power off"

build/controller/controller wait memory --for registered --timeout 20 >"$dir/registered" ||
	fail "the controller does not know this worker"
grep -q '"state":"REGISTER"' "$dir/events" || fail "no event of the registration"
expect_no_serial 'out of memory|Out of memory|oom'
expect_off guest-shutdown
