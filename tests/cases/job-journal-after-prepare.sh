#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Once the guest is being prepared the target is no longer what the source's journal says of it. A
# journal that survived (here in the files of a restarted source-server) must not hide from the next
# run what the preparation has changed: one leaf differs, far from the units copied last; the sampling probe misses it.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"

make_disk "$work/sda" 8 1
echo '2048,,L,*' | sfdisk -q --label dos "$work/sda"
truncate -s 1G "$work/sda"
mkdir "$work/state"
(umask 077; echo "$psk" >"$work/psk")
port=$(free_port)
source_up() {
	start server "$server" --drive "sda=$work/sda" --listen "127.0.0.1:$port" \
		--psk-file "$work/psk" --state-dir "$work/state"
	wait_for 10 listens "$port"
}

source_up
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
jq '.prepare = {"nvram": false} | .verify = "none"' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
run_job
expect failed PREP_NO_SYSTEM 7
stop server

printf 'half a preparation' | dd of="$work/target" bs=1M seek=300 conv=notrunc status=none
source_up
jq '.prepare = false' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"
