#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An HTTP or NBD server at the source's port is recognised and named.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

new_target "$work/target" 2
make_disk "$work/sda" 2 1

port=$(free_port)
start http python3 -m http.server --bind 127.0.0.1 --directory "$work" "$port"
wait_for 10 listens "$port"
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
run_job
expect failed SRC_IS_HTTP 4
untouched "$work/target"

port=$(free_port)
start nbd nbdkit -f -p "$port" -i 127.0.0.1 file "$work/sda"
wait_for 10 listens "$port"
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
run_job
expect failed SRC_IS_NBD 4
untouched "$work/target"
