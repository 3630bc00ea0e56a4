#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A BIOS machine with 96 MB registers with its controller, from a volume with the job in it. Its clock
# is 25 years behind: the connection is made by the key, and then the time is the controller's.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/memory-lib.bash
. "$(dirname "$0")/memory-lib.bash"
boot_begin
memory_servers 8
memory_machine 96
qemu+=(-rtc base=2001-02-03T04:05:06)
boot_run 120 60 || fail "the machine did not power off"

build/controller/controller wait memory --for registered --timeout 20 >"$dir/registered" ||
	fail "the controller does not know this worker"
grep -q '"state":"REGISTER"' "$dir/events" || fail "no event of the registration"
expect_no_serial 'out of memory|Out of memory|oom'
expect_off guest-shutdown

expect_serial 'the clock was -[0-9]{9} s off; it is set to the controller'
build/controller/controller wait memory --for result --timeout 1 >"$dir/result.json" ||
	fail "the controller has no result"
written=$(jq -r .times.written "$dir/result.json")
[ $(($(date +%s) - $(date -d "$written" +%s))) -lt 3600 ] || fail "the result was written at $written"
