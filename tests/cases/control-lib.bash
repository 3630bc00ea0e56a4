# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# For tests/cases/control-*.sh: a controller on a port of its own, the worker's control module
# (build/host/control-driver) and the spoiling proxy. Everything started here ends with the test.
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
requires python3 certtool openssl curl jq sqlite3

controller=$top/build/controller/controller
driver=$top/build/host/control-driver
state=$work/state
for program in "$controller" "$driver"; do
	[ -x "$program" ] || fail "$program is missing: run make controller"
done

# end PID: at the end of the test, when it still runs.
end() {
	if kill -0 "$1" 2>&-; then
		kill -9 "$1"
	fi
	wait "$1" 2>&- || return 0
}
# The controller is writing, too: its lock is waited for.
state_sql() { sqlite3 -cmd '.timeout 30000' "$state/state.db" "$1"; }
ctl() { "$controller" "$1" --state "$state" "${@:2}"; }

# start_controller [PORT]: sets controller_pid, url and pin.
start_controller() {
	: >"$work/controller.out"
	"$controller" serve --state "$state" --listen "127.0.0.1:${1:-0}" --lease "${lease:-60}" \
		>"$work/controller.out" 2>>"$work/controller.log" 7>&- 8<&- &
	controller_pid=$!
	cleanup_fn "end $controller_pid"
	wait_for 10 grep -q ^pin "$work/controller.out"
	url=$(sed -n 's/^url //p' "$work/controller.out")
	pin=$(sed -n 's/^pin //p' "$work/controller.out")
}

# new_migration NAME [OPTION...]: sets migration and token.
new_migration() {
	migration=$1
	echo '{"version":1,"mode":"full"}' >"$work/template.json"
	ctl job new --template "$work/template.json" --migration "$@" >"$work/job.json"
	token=$(jq -r .controller.token "$work/job.json")
}

# make_key [TYPE OPTION...]: a key with a certificate that ran out in 2001: workers must not look at a calendar. Sets
# other_pin.
make_key() {
	certtool --generate-privkey --key-type "${@:-ecdsa}" --no-text \
		--outfile "$work/proxy.key" 2>"$work/certtool.out"
	printf '%s\n' 'cn = elsewhere' 'activation_date = "2000-01-01 00:00:00"' \
		'expiration_date = "2001-01-01 00:00:00"' >"$work/proxy.template"
	certtool --generate-self-signed --load-privkey "$work/proxy.key" --no-text \
		--template "$work/proxy.template" --outfile "$work/proxy.crt" 2>"$work/certtool.out"
	other_pin=sha256//$(openssl pkey -in "$work/proxy.key" -pubout -outform DER |
		openssl dgst -sha256 -binary | base64)
}

# start_proxy [KEY-TYPE]: sets url and pin to those of a proxy before the controller.
start_proxy() {
	make_key "$@"
	: >"$work/faults"
	: >"$work/proxy.out"
	python3 tests/cases/control-proxy.py --backend "$url" --cert "$work/proxy.crt" \
		--key "$work/proxy.key" --record "$work/record" --faults "$work/faults" \
		>"$work/proxy.out" 2>"$work/proxy.log" &
	cleanup_fn "end $!"
	wait_for 10 grep -q ^https "$work/proxy.out"
	url=$(cat "$work/proxy.out")
	pin=$other_pin
}

# drive [OPTION...]: lines on standard input, answers on standard output, log in driver.log.
drive() {
	timeout 120 "$driver" --url "$url" --token "$token" --pin "$pin" --migration "$migration" \
		--backoff 1 "$@" 2>>"$work/driver.log"
}

# start_driver [OPTION...]: the same in the background; say LINE gives its answer.
start_driver() {
	rm -f "$work/in" "$work/answers"
	mkfifo "$work/in" "$work/answers"
	timeout 120 "$driver" --url "$url" --token "$token" --pin "$pin" --migration "$migration" \
		--backoff 1 "$@" <"$work/in" >"$work/answers" 2>>"$work/driver.log" &
	driver_pid=$!
	cleanup_fn "end $driver_pid"
	exec 7>"$work/in" 8<"$work/answers"
}
say() {
	local answer
	printf '%s\n' "$*" >&7
	IFS= read -r answer <&8 || fail "the driver is gone after: $*"
	printf '%s\n' "$answer"
}
expect() { # ANSWER-PATTERN LINE...
	local answer
	answer=$(say "${@:2}")
	# shellcheck disable=SC2053 # a pattern
	[[ $answer == $1 ]] || fail "${*:2}: \"$answer\", not \"$1\""
}
end_driver() {
	exec 7>&- 8<&-
	wait "$driver_pid" || fail "the driver ended with status $?"
}

# Every event of every worker process is there, in order and once.
check_sequences() {
	ctl events "$migration" | jq -es '
		[.[] | .event | select(.source | startswith("/workers/"))] | group_by(.source) |
		all(.[]; [.[].sequence | tonumber] == [range(1; length + 1)])' >"$work/jq.log" ||
		fail "events are missing or double"
}
