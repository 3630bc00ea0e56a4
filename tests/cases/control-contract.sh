#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Worker and controller both keep to controller-api.yaml: a recorded run with every kind of message,
# then every kind of bad request, each answered as the contract says.
# shellcheck source=tests/cases/control-lib.bash
. "$(dirname "$0")/control-lib.bash"

check() { # [COVER]
	python3 tests/cases/control-contract.py worker/control/controller-api.yaml "$work/record" \
		${1:+--cover "$1"}
}

start_controller
new_migration m-contract --then hold
start_proxy

# What a worker says. A drive at work, failures with odd text, commands of all kinds, a log in the
# middle, and a result.
start_driver
expect ok state NET
expect ok announce
expect ok state COPY
expect ok step copy "drive 0"
expect ok progress 0 1000000 500000
expect ok progress 63 0 0
expect ok error SRC_EOF $'gone: \xff\xfe\x01 "quoted" \\ and a very long text'
for verb in pause "throttle 1G" collect_logs; do
	# shellcheck disable=SC2086 # verb and argument
	id=$(ctl command "$migration" $verb)
	if [ "$verb" = collect_logs ]; then
		ctl wait "$migration" --for "command=$id" --timeout 20
		continue
	fi
	expect "ok command * $id *" command 20
	expect ok failed "$id"
done
state_sql "INSERT INTO command (id, migration, verb, args, created_ms)
	VALUES ('c-dance', '$migration', 'dance', '{\"bandwidth_bps\":5}', 0)"
ctl wait "$migration" --for command=c-dance --timeout 20
expect ok progress 0 1000000 1000000
expect ok sleep 1200
expect "ok then 2" report 60 '{"verdict":"failed","err":{"code":"SRC_EOF","text":"x","retryable":true}}'
end_driver
cat >"$work/cover" <<-X
	register 200
	heartbeat 200
	commands 200
	events 200
	logs 200
	result 200
X
check "$work/cover"

# What the real worker says, from its facts to its result.
if [ -x "$worker" ]; then
	: >"$work/record"
	new_migration m-worker
	head -c 4M /dev/urandom >"$work/sda"
	truncate -s 4M "$work/target"
	jq -n --slurpfile made "$work/job.json" --arg url "$url" --arg pin "$pin" \
		--arg source "file:$work" --arg target "$work/target" '{version: 1,
		migration: "m-worker", mode: "full", prepare: false, source: {url: $source},
		controller: ($made[0].controller + {url: $url, pins: [$pin]}),
		drives: [{source: "sda", target: {device: $target}, target_state: "pristine"}]}' \
		>"$work/real.json"
	TW_LAST_RESET=watchdog timeout 60 "$worker" run --job "$work/real.json" --result "$work/result.json" \
		>"$work/run.log" 2>&1 || fail "worker run: status $?"
	ctl wait m-worker --for result --timeout 20 >"$work/stored.json"
	jq -e --slurpfile kept "$work/result.json" 'del(.acknowledged, .times) ==
		($kept[0] | del(.acknowledged, .times))' "$work/stored.json" >"$work/jq.log" ||
		fail "the controller has another result than result.json"
	jq -e .acknowledged "$work/result.json" >"$work/jq.log" || fail "not acknowledged"
	# What a controller of another version has to know of this worker is kept.
	ctl show m-worker --json | jq -c '.workers[0].facts' >"$work/facts.json"
	jq -e '.last_reset == "watchdog"' "$work/facts.json" >"$work/jq.log" || fail "nothing of the reset"
	ctl events m-worker | jq -es 'any(.[]; .event.type == "tw.warning.v1" and
		.event.data.text == "this machine was reset by its watchdog")' >"$work/jq.log" ||
		fail "no event of the reset"
	jq -e --arg sum "$(sha256sum "$worker" | cut -d' ' -f1)" '.image.worker_sha256 == $sum and
		(["pause", "collect_logs", "poweroff"] - .commands) == [] and
		(["job:1", "mode:full", "mode:delta", "mode:prepare", "source:tws", "source:nbds",
			"prepare:debian", "prepare:redhat"] - .capabilities) == []' "$work/facts.json" \
		>"$work/jq.log" || fail "the controller knows of this worker: $(cat "$work/facts.json")"
	check
fi

# What the controller says to nonsense.
: >"$work/record"
new_migration m-bad
boot=11111111-2222-3333-4444-555555555555
json='Content-Type: application/json'
batch='Content-Type: application/cloudevents-batch+json'
# request STATUS METHOD PATH [BODY|@FILE [HEADER...]]: with the session's token once there is one.
session=
request() {
	local want=$1 method=$2 path=$3 body=${4-} header args=()
	for header in "${@:5}" ${session:+"Authorization: Bearer $session"}; do
		args+=(-H "$header")
	done
	if [ -n "$body" ]; then
		args+=(--data-binary "$body")
	fi
	got=$(curl -sk --pinnedpubkey "$pin" -o "$work/reply" -w '%{http_code}' -X "$method" \
		"${args[@]}" "$url$path")
	[ "$got" = "$want" ] || fail "$method $path ${body:0:80}: $got, not $want: $(<"$work/reply")"
}
registration() {
	jq -nc --arg t "$token" --arg b "$boot" --arg m "$migration" '{enroll_token: $t, boot_id: $b,
		migration_id: $m, nonce: "00000000000000000000000000000000", facts: {}} | '"$1"
}
heartbeat() {
	jq -nc --arg b "$boot" '{seq: 1, boot_id: $b, uptime_s: 1, state: "COPY", attempt: 1,
		bytes: {total: 0, done: 0, flushed: 0}, rate_bps: 0, eta_s: null, drives: [], acks: [],
		waiting_events: 0, dropped_events: 0} | '"$1"
}
event() {
	jq -nc --arg b "$boot" --arg w "$id" --arg m "$migration" '[{specversion: "1.0",
		id: "000000000001", source: "/workers/\($w)/x", type: "tw.state.v1", subject: $m,
		time: "2026-01-01T00:00:00Z", sequence: "000000000001",
		data: {migration_id: $m, worker_id: $w, boot_id: $b, state: "COPY", attempt: 1,
		monotonic_ms: 1}}] | '"$1"
}

for change in 'del(.nonce)' '.nonce = "x"' '.boot_id = 5' '.facts = []' '.enroll_token = "short"' \
	'.migration_id = ""' '.enroll_token = ("a" * 600)'; do
	request 400 POST /register "$(registration "$change")" "$json"
done
request 400 POST /register '{' "$json"
request 400 POST /register '{"nonce":"a","nonce":"b"}' "$json"
request 401 POST /register "$(registration '.enroll_token = "00000000000000000"')" "$json"
request 401 POST /register "$(registration '.migration_id = "m-contract"')" "$json"
request 415 POST /register "$(registration .)" 'Content-Type: text/xml'
head -c 1100000 /dev/zero | tr '\0' ' ' >"$work/big"
request 413 POST /register "@$work/big" "$json"
request 200 POST /register "$(registration .)" "$json"
id=$(jq -r .worker_id "$work/reply")
token_of_session=$(jq -r .session_token "$work/reply")
at=/workers/$id

request 401 POST "$at/heartbeat" "$(heartbeat .)" "$json"
request 401 GET "$at/commands?after=0&wait=0"
request 401 POST "$at/events" "$(event .)" "$batch"
request 401 PUT "$at/logs/a.log?offset=0" text 'Content-Type: text/plain'
request 401 PUT "$at/journals/0" '{"journal":""}' "$json"
request 401 GET "$at/journals/0"
request 401 PUT "$at/result" '{"verdict":"success"}' "$json"
session=0000000000000000000000000000000000000000000000000000000000000000
request 401 GET "$at/commands?after=0&wait=0"
session=$token_of_session
request 401 GET "/workers/w-0/commands?after=0&wait=0"
request 404 GET /nothing
request 404 GET "/workers/$id/commands/more"
request 405 GET /register
request 405 DELETE "$at/result"

for change in 'del(.seq)' '.seq = 0' '.seq = "1"' '.boot_id = "22222222-2222-3333-4444-555555555555"' \
	'.drives = {}' '.acks = [{}]' '.acks = [{id: "c", status: "maybe"}]' '.rate_bps = -1' \
	'.drives = [range(65)]' '.attempt = 1.5'; do
	request 400 POST "$at/heartbeat" "$(heartbeat "$change")" "$json"
done
request 415 POST "$at/heartbeat" "$(heartbeat .)"
request 413 POST "$at/heartbeat" "@$work/big" "$json"
request 200 POST "$at/heartbeat" "$(heartbeat '.acks = [{id: "c-unknown", status: "done"}]')" "$json"
for query in '' after=0 'wait=0' 'after=-1&wait=0' 'after=0&wait=61' 'after=x&wait=0'; do
	request 400 GET "$at/commands?$query"
done
request 200 GET "$at/commands?after=0&wait=0"
for change in '[]' '{}' '.[0].source = "/workers/other/x"' '.[0].subject = "m-contract"' \
	'.[0].sequence = "1"' 'del(.[0].data)' '.[0].data.drive = 64' '.[0].specversion = "2.0"' \
	'[range(257)]'; do
	request 400 POST "$at/events" "$(event "$change")" "$batch"
done
request 415 POST "$at/events" "$(event .)" "$json"
request 413 POST "$at/events" "@$work/big" "$batch"
request 200 POST "$at/events" "$(event .)" "$batch"
request 200 POST "$at/events" "$(event .)" "$batch"
jq -e '.duplicates == 1' "$work/reply" >"$work/jq.log" || fail "stored twice"
text='Content-Type: text/plain'
for path in 'A.log?offset=0' '.hidden?offset=0' 'a_b?offset=0' 'a.log' 'a.log?offset=-1' \
	'a.log?offset=16777217'; do
	request 400 PUT "$at/logs/$path" text "$text"
done
request 409 PUT "$at/logs/a.log?offset=5" text "$text"
jq -e '.size == 0' "$work/reply" >"$work/jq.log" || fail "no size in a 409"
request 200 PUT "$at/logs/a.log?offset=0" text "$text"
request 200 PUT "$at/logs/a.log?offset=2" xtmore "$text"
jq -e '.size == 8' "$work/reply" >"$work/jq.log" || fail "size: $(<"$work/reply")"
[ "$(ctl log "$migration" "$id/a.log")" = textmore ] ||
	fail "the log is: $(ctl log "$migration" "$id/a.log")"
request 413 PUT "$at/logs/a.log?offset=16777216" text "$text"
request 413 PUT "$at/logs/a.log?offset=8" "@$work/big" "$text"
request 415 PUT "$at/logs/a.log?offset=8" more "$json"
request 200 GET "$at/journals/63"
jq -e '.journal == ""' "$work/reply" >"$work/jq.log" || fail "a journal from nowhere: $(<"$work/reply")"
for body in '{' '{}' '{"journal":1}' '{"journal":"abc"}' '{"journal":"AB"}' '[]' \
	"$(head -c 524289 /dev/zero | tr '\0' 0 | jq -Rc '{journal: .}')"; do
	printf %s "$body" >"$work/body"
	request 400 PUT "$at/journals/63" "@$work/body" "$json"
done
for drive in 64 -1 x 007; do
	request 400 PUT "$at/journals/$drive" '{"journal":"ab"}' "$json"
	request 400 GET "$at/journals/$drive"
done
request 413 PUT "$at/journals/63" "@$work/big" "$json"
request 415 PUT "$at/journals/63" '{"journal":"ab"}' "$text"
request 200 PUT "$at/journals/63" '{"journal":"ab"}' "$json"
request 200 PUT "$at/journals/63" '{"journal":"cdef"}' "$json"
request 200 GET "$at/journals/63"
jq -e '.journal == "cdef"' "$work/reply" >"$work/jq.log" || fail "not the last journal: $(<"$work/reply")"
for body in '{' '{}' '{"verdict":"perhaps"}' '{"verdict":1}' '[]'; do
	request 400 PUT "$at/result" "$body" "$json"
done
request 413 PUT "$at/result" "@$work/big" "$json"
request 415 PUT "$at/result" '{"verdict":"failed"}' "$text"
request 200 PUT "$at/result" '{"verdict":"failed"}' "$json"
request 200 PUT "$at/result" '{"verdict":"success"}' "$json"
request 200 POST "$at/events" "$(event '.[0].id = "000000000002"')" "$batch"
ctl job close "$migration"
request 410 POST "$at/heartbeat" "$(heartbeat .)" "$json"
request 410 GET "$at/commands?after=0&wait=0"
request 410 POST "$at/events" "$(event .)" "$batch"
request 410 PUT "$at/logs/a.log?offset=0" text "$text"
request 410 PUT "$at/journals/63" '{"journal":"ab"}' "$json"
request 410 GET "$at/journals/63"
request 410 PUT "$at/result" '{"verdict":"success"}' "$json"
session=
request 410 POST /register "$(registration .)" "$json"

# Every status that the contract gives was seen, but those of a controller in trouble.
python3 - worker/control/controller-api.yaml >"$work/cover" <<-X
	import sys, yaml
	for item in yaml.safe_load(open(sys.argv[1]))["paths"].values():
	    for operation in item.values():
	        for status in operation["responses"] if "responses" in operation else ():
	            if status not in ("500", "503"):
	                print(operation["operationId"], status)
X
check "$work/cover"
