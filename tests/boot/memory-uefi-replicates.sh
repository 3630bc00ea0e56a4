#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A UEFI machine with the 128 MB that the README asks for copies a disk larger than its memory over
# TLS, and no process is ended for want of memory.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/memory-lib.bash
. "$(dirname "$0")/memory-lib.bash"
boot_begin
memory_servers 224
memory_machine 128 uefi
boot_run 300 90 || fail "the machine did not power off"
memory_replicated
