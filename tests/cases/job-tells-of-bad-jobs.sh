#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is wrong with a job, its source or its target before the first write is told three times: on
# the console, in result.json and to the controller, with code, sentence and hint. The target stays
# as it was, the source is not changed, and the same job goes through once it is put right.
# also: shipped
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires jq openssl nbdkit losetup python3

make_disk "$work/sda" 4 1
cp "$work/sda" "$work/sda.before"
new_target "$work/target" 4
boss
port=$(free_port)
echo "$psk" >"$work/psk"
start server "$server" --drive "sda=$work/sda,format=raw" --listen "127.0.0.1:$port" \
	--psk-file "$work/psk"
wait_for 10 listens "$port"

# refused CODE EXIT-STATUS FILTER [URL]
refused() {
	job "${4:-tws://127.0.0.1:$port}" "[$(drive sda "$work/target")]"
	boss_job "$3"
	run_job
	expect failed "$1" "$2"
	told "$1"
	[ "$(jq .touched "$work/result.json")" = false ] || fail "$1: touched"
	untouched "$work/target"
}
refused CFG_INVALID 2 '.colour = "red"'
jq -e '.err.text | test("colour: unknown key")' "$work/told.json" >"$work/jq.log" || fail "no key"
refused CFG_INVALID 2 '.drives[0].target = {serial: 7}'
jq -e '.err.text | test("drives\\[0\\].target.serial: must be a string")' "$work/told.json" \
	>"$work/jq.log" || fail "no key"
refused CFG_INVALID 2 'del(.drives)'
refused DISK_NOT_FOUND 5 '.drives[0].target = {serial: "no-such-serial"}'
refused SRC_NO_DRIVE 4 '.drives[0].source = "sdz"'
refused SRC_AUTH 4 '.source.psk = "m-1:ffffffffffffffffffffffffffffffff"'

new_target "$work/small" 3
loop=$(losetup --find --show "$work/small")
cleanup_fn losetup -d "$loop"
refused DISK_SMALL 5 ".drives[0].target = {device: \"$loop\"}"
untouched "$work/small"

nobody=$(free_port)
refused SRC_CONNECT 4 . "tws://127.0.0.1:$nobody"
nbd=$(free_port)
start nbd nbdkit -f -p "$nbd" -i 127.0.0.1 file "$work/sda"
wait_for 10 listens "$nbd"
refused SRC_IS_NBD 4 . "tws://127.0.0.1:$nbd"
http=$(free_port)
start http python3 -m http.server --bind 127.0.0.1 --directory "$work" "$http"
wait_for 10 listens "$http"
refused SRC_IS_HTTP 4 . "tws://127.0.0.1:$http"

# A wrong pin cannot be told: whoever answers there is not the controller.
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
boss_job '.controller.pins = ["sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]'
run_job
expect failed CTL_PIN 3
untouched "$work/target"
"$controller" show --state "$work/boss" "m-$n_jobs" --json >"$work/show.json"
jq -e '.workers == []' "$work/show.json" >"$work/jq.log" || fail "a wrong key was talked to"

job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
boss_job
run_job
expect success NONE 0
cmp "$work/sda" "$work/target"
cmp "$work/sda" "$work/sda.before"
