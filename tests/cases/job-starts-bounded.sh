#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A machine that is reset in the middle of its job starts again, but not for ever: the starts are
# counted, on the volume and at the controller. Above max_starts the job ends with BOOT_LOOP, which
# both have, the machine goes off whatever on_error says, and it stays known that targets were written
# to; once more after that nobody is asked at all. A job that came to an end begins to count anew.
# The worker (build/worker/worker) runs as in the image, with a network of its own, and is killed where the kernel would die.
if [ -z "${TW_IN_NAMESPACE:-}" ]; then
	exec env TW_IN_NAMESPACE=1 unshare --net --mount --pid --fork --kill-child "$0" "$@"
fi
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
# shellcheck source=tests/cases/job-network-lib.bash
. "$(dirname "$0")/job-network-lib.bash"
network_root
ip link set peer up
boss


# A source that takes connections and says nothing: a job that asks it stays in READY.
ip addr add 10.9.0.1/24 dev peer
start silent python3 -c '
import socket, time
s = socket.create_server(("10.9.0.1", 5994))
while True:
    c = s.accept()
    time.sleep(3600)
'
wait_for 10 eval 'ss -ltn | has 10.9.0.1:5994'

# machine: a start of it, up to its end; $work/init has what init was told.
boots=0
prepare_start()
{
	boots=$((boots + 1))
	cp "$work/job.json" "$root/tmp/job.json"
	# To the count each is another boot, though the kernel here is always the same.
	[ ! -e "$root/tmp/result.json.starts" ] ||
		sed -i "s/\"boot\": \"[^\"]*\"/\"boot\": \"boot $boots\"/" "$root/tmp/result.json.starts"
}
machine()
{
	prepare_start
	as_init timeout 250 chroot "$root" /bin/worker run --job /tmp/job.json \
		--result /tmp/result.json >"$work/run.log" 2>&1 ||
		fail "exit status $?: $(tail -n 3 "$work/run.log")"
	cp "$root/tmp/result.json" "$work/result.json"
	network_down
}
# dies: a start that ends in the middle, as when the kernel panics.
dies()
{
	prepare_start
	: >"$work/dies.log"
	start dies as_init sh -c 'echo $$ >"$0/pid"; exec chroot "$1" /bin/worker run --job /tmp/job.json \
		--result /tmp/result.json' "$work" "$root"
	wait_for 30 grep -q READY "$work/dies.log"
	kill -KILL "$(cat "$work/pid")"
	wait "${started[dies]}" || :
	unset 'started[dies]'
	network_down
}
ended() # CODE
{
	[ "$(jq -r .code "$work/result.json")" = "$1" ] || fail "$(jq -c '{code, err}' "$work/result.json"), not $1"
	grep -q "$1: " "$work/run.log" || fail "the console does not say $1"
}
count() { jq .starts "$root/tmp/result.json.starts"; }

job "nbd://10.9.0.1:5994" '[{"source": "sda", "target": {"serial": "NOT-HERE"}}]'
jq --arg mac "$mac" '. + {on_error: "reboot", report_deadline_s: 20, max_starts: 2,
	network: [{mac: $mac, address: "10.9.0.5/24"}]}' "$work/job.json" >"$work/template.json"
cp "$work/template.json" "$work/job.json"
boss_job
for n in 1 2; do
	dies
	[ "$(count)" = $n ] || fail "after $n starts the count is $(count)"
done
# What the second start had begun to write.
jq '{version: 1, migration, mode, verdict: "running", state: "COPY", code: "NONE", touched: true}' \
	"$work/job.json" >"$root/tmp/result.json"
machine
ended BOOT_LOOP
told BOOT_LOOP
grep -q '^finish poweroff' "$work/init" || fail "$(grep ^finish "$work/init")"
grep -q '^unwatched' "$work/init" || fail "a hang at the end would start the machine again"
! grep -q READY "$work/run.log" || fail "the job was begun"
[ "$(jq -c '[.touched, .starts]' "$work/result.json")" = '[true,3]' ] ||
	fail "$(jq -c '{touched, starts}' "$work/result.json")"

# It had an end: now it may start again.
[ "$(count)" = 0 ] || fail "the count is $(count)"
dies
[ "$(count)" = 1 ] || fail "the count is $(count)"

# Even the way to the controller may be what the kernel dies of.
sed -i 's/"starts": [0-9]*/"starts": 3/' "$root/tmp/result.json.starts"
boss_job
jq '.migration = "m-1"' "$work/job.json" >"$work/job.tmp"
mv "$work/job.tmp" "$work/job.json"
machine
ended BOOT_LOOP
! grep -q 'NET eth0' "$work/run.log" || fail "the network was brought up once more"

# A failure that is not the end of it (on_error reboot) counts on, and does not forget either that
# a run before it had written to the targets.
stop silent
jq '.source.url = "nbd://192.0.2.1:5994" | .migration = "m-2"' "$work/template.json" >"$work/job.json"
jq '.migration = "m-2" | .touched = true' "$work/result.json" >"$root/tmp/result.json"
for n in 1 2; do
	machine
	ended NET_ROUTE
	[ "$(jq -c '[.touched, .starts]' "$work/result.json")" = "[true,$n]" ] ||
		fail "$(jq -c '{touched, starts}' "$work/result.json")"
	grep -q '^finish reboot' "$work/init" || fail "$(grep ^finish "$work/init")"
done
machine
ended BOOT_LOOP
grep -q '^finish poweroff' "$work/init" || fail "$(grep ^finish "$work/init")"
