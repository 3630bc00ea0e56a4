#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same migration without a controller: the result on the worker's volume and the machine channel
# are enough to tell how it went.
# limit: 2400
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires qemu-system-x86_64 socat jq mmdebstrap

qemu/migrate --firmware bios --no-controller
[ "$(jq 'has("acknowledged")' build/demo/debian12-bios/result.json)" = false ] ||
	fail "somebody acknowledged a result without a controller"
