#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A BIOS machine with 128 MB copies a disk larger than its memory over TLS, and no process is
# ended for want of memory.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/memory-lib.bash
. "$(dirname "$0")/memory-lib.bash"
boot_begin
memory_servers 192
memory_machine 128
boot_run 300 90 || fail "the machine did not power off"

expect_off guest-shutdown
build/controller/controller wait memory --for result --timeout 1 >"$dir/result.json" ||
	fail "the controller has no result"
[ "$(jq -r '.verdict // .result.verdict' "$dir/result.json")" = success ] ||
	fail "the result: $(head -c 300 "$dir/result.json")"
! grep -q '"state":"FAILED"' "$dir/events" || fail "an event says FAILED"
expect_no_serial 'out of memory|Out of memory|oom|the worker ended'
cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
