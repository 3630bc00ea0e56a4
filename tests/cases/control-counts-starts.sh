#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller tells a worker how many boots of its machine have registered since the last result:
# another process of the same boot is none, a result begins the count anew.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

start_controller
new_migration m-starts
starts() { # BOOT WANTED [LINE]
	[ "$(printf '%s\n' announce starts "${3:-sleep 1}" |
		drive --boot-id "0000000$1-0000-4000-8000-000000000000" | paste -sd,)" = "ok,ok $2,${4:-ok}" ] ||
		fail "boot $1: not $2 starts: $(tail -n 1 "$work/driver.log")"
}
starts 1 1
starts 1 1
starts 2 2
starts 3 3 'report 20 {"verdict":"failed"}' 'ok then 0'
starts 4 1
starts 5 2
