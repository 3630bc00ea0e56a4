#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second job of a machine says what the target holds: the state that the first one's result named,
# or a dirty bitmap begun then. It asks only for what changed since; it compares everything where the
# source cannot tell, and where an attempt of its own has already written to the target.
# shellcheck source=tests/cases/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
requires qemu-nbd qemu-io qemu-img sqlite3

reads() { awk '/^rchar/ { print $2 }' "/proc/${started[server]}/io"; }
# delta FIELDS [MIGRATION]: the job as a second one, with these in its drive; sets wire and, with a
# source-server, read: MiB that the server read for it.
n=1
delta() {
	local before=0
	[ -z "${started[server]:-}" ] || before=$(reads)
	n=$((n + 1)) # a result of the same migration would be an attempt of this one
	jq ".migration = \"${2:-m-$n}\" | .mode = \"delta\" | .drives[0] |= (. + ($1))" "$work/first.json" \
		>"$work/job.json"
	run_job
	expect success NONE 0
	wire=$(jq '.drives[0].copy.bytes_wire' "$work/result.json")
	[ -z "${started[server]:-}" ] || read=$((($(reads) - before) >> 20))
}

make_disk "$work/sda" 48 1
echo "$psk" >"$work/psk"
port=$(free_port)
start server "$server" --drive "sda=$work/sda" --listen "127.0.0.1:$port" --psk-file "$work/psk"
wait_for 20 listens "$port"
job "tws://127.0.0.1:$port" "[$(drive sda "$work/target")]"
jq '.verify = "none"' "$work/job.json" >"$work/first.json"
cp "$work/first.json" "$work/job.json"
run_job
expect success NONE 0
state=$(jq -r '.drives[0].copy.source_state' "$work/result.json")
[ -n "$state" ] || fail "the first result has no source_state"

delta "{since: \"$state\"}"
[ "$read" -le 16 ] || fail "$read of 48 MiB were read although nothing changed"
[ "$wire" -le $((1 << 20)) ] || fail "$wire bytes on the wire although nothing changed"
cmp "$work/sda" "$work/target"

# The run before left no result, but data: what it says to be unchanged could be a preparation's.
printf x | dd of="$work/target" bs=1 seek=$((20 << 20)) conv=notrunc status=none
jq '.verdict = "running" | .touched = true' "$work/result.json" >"$work/running"
cp "$work/running" "$work/result.json"
delta "{since: \"$state\"}" m-$n
grep -q 'all of it is compared' "$work/run.log" || fail "since is believed after an interrupted run"
cmp "$work/sda" "$work/target"

# A machine without a place for its result keeps no trace of a run that was reset in the middle of
# preparing: where the job prepares, nobody knows whether this is the first start, and all is compared.
# traceless READ PREPARE: by how much the server read.
traceless()
{
	local before

	before=$(reads)
	jq ".migration = \"t-1\" | .mode = \"delta\" | .drives[0].since = \"$state\" | .prepare = $2" \
		"$work/first.json" >"$work/job.json"
	timeout 250 "$worker" run --job "$work/job.json" >"$work/result.json" 2>"$work/run.log" || :
	read=$((($(reads) - before) >> 20))
	jq -e ".drives[0].copied" "$work/result.json" >"$work/jq.log" || fail "traceless: $(tail -n 3 "$work/run.log")"
	cmp -n $((1 << 20)) -i $((20 << 20)) "$work/sda" "$work/target" || fail "traceless: the target differs"
	{ case $1 in most) [ "$read" -le 32 ] ;; *) [ "$read" -ge 32 ] ;; esac; } || fail "traceless, prepare $2: $read of 48 MiB were read"
}
traceless most false
printf x | dd of="$work/target" bs=1 seek=$((20 << 20)) conv=notrunc status=none
traceless least true
grep -q 'nothing here keeps its trace' "$work/run.log" || fail "traceless: no word about it"

# A controller that is told which job came before says it by itself, unless that one prepared the guest.
boss
for prepared in false true; do
	cp "$work/first.json" "$work/job.json"
	boss_job
	run_job
	expect success NONE 0
	[ $prepared = false ] || sqlite3 "$work/boss/state.db" \
		"UPDATE result SET doc = json_set(doc, '\$.prepare', json('{}'))"
	before=$(reads)
	jq '.mode = "delta"' "$work/first.json" >"$work/job.json"
	boss_job . --after "m-$n_jobs"
	jq -e --argjson p $prepared --arg s "$state" '.drives[0].since == (if $p then null else $s end)' \
		"$work/job.json" >"$work/jq.log" || fail "since: $(jq -c '.drives[0]' "$work/job.json")"
	run_job
	expect success NONE 0
	read=$((($(reads) - before) >> 20))
	if [ $prepared = true ]; then
		[ "$read" -ge 47 ] || fail "$read MiB were read of a target that a preparation has changed"
	else
		[ "$read" -le 16 ] || fail "$read of 48 MiB were read although nothing changed"
	fi
done
! "$controller" job new --state "$work/boss" --template "$work/first.json" --migration m-x --after m-none \
	>"$work/new.json" 2>"$work/new.log" || fail "a job after a migration that there never was"

n=10 # the controller has counted up to 4
# Something changed: this source cannot tell what, and only that comes over the wire.
head -c 64K /dev/urandom | dd of="$work/sda" bs=64K seek=$((30 << 4)) conv=notrunc status=none
delta "{since: \"$state\"}"
grep -q 'cannot tell what changed since' "$work/run.log" || fail "no word about it"
[ "$read" -ge 47 ] || fail "$read MiB were read: more than is known was believed"
# The first MiB comes for the hash of the whole drive.
[ "$wire" -le $((2 << 20)) ] || fail "$wire bytes on the wire for 64 KiB"
cmp "$work/sda" "$work/target"
[ "$(jq -r '.drives[0].copy.source_state' "$work/result.json")" != "$state" ] || fail "the state stayed"
stop server
unset 'started[server]'

# The same over NBD with qemu's bitmap.
qemu-img convert -q -f raw -O qcow2 "$work/sda" "$work/sda.qcow2"
qemu-img bitmap --add --enable "$work/sda.qcow2" b0
qemu-io -c 'write -q -P 5 25M 128k' -c 'write -q -P 6 40M 64k' "$work/sda.qcow2" >"$work/qemu-io.log"
qemu-img convert -q -O raw "$work/sda.qcow2" "$work/now"
start qemu-nbd qemu-nbd -r -t -e 8 -f qcow2 -x sda -B b0 -k "$work/q.sock" "$work/sda.qcow2"
wait_for 10 test -S "$work/q.sock"
jq ".source = {url: \"nbd+unix:///?socket=$work/q.sock\"}" "$work/first.json" >"$work/nbd.json"
mv "$work/nbd.json" "$work/first.json"
delta '{bitmap: "b0"}'
[ "$wire" -le $((12 << 20)) ] || fail "$wire bytes came for 192 KiB"
cmp "$work/now" "$work/target"
delta '{bitmap: "b0"}' # nothing is left of it at the target: written again is no harm
cmp "$work/now" "$work/target"

# A bitmap that is not there is an error, and nothing is written.
cp "$work/target" "$work/target.before"
jq '.mode = "delta" | .drives[0].bitmap = "b1"' "$work/first.json" >"$work/job.json"
run_job
expect failed SRC_NO_DRIVE 4
untouched "$work/target"
