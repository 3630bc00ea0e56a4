# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tests/cases/*.sh. A test has a folder $work that goes with it, and says
#   requires TOOL...    a tool that is missing fails the test: scripts/deps installs all of them
#   skip REASON         for what this machine cannot do at all
#   fail TEXT           what was wrong
#   cleanup_fn COMMAND  run at the end, last one first, however the test ends
#   start NAME COMMAND  a program in the background, output in $work/NAME.log; ends with the test
#   wait_for SECONDS COMMAND   until it succeeds; SECONDS are those of a machine with nothing else to do
# Libraries of a kind of tests source it, too: the first one counts.
! declare -F cleanup_fn >/dev/null || return 0
set -euo pipefail
# What tests read is not translated, and what is on this machine is not reached through a proxy.
export LC_ALL=C.UTF-8
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/tw-test.XXXXXX")
# Programs under test: with ASan and UBSan, unless TW_PROGRAMS names another flavour's folder.
programs=${TW_PROGRAMS:-$top/build/host}
worker=$programs/worker
[ -z "${TW_PROGRAMS:-}" ] || [ -x "$worker" ] || { echo "$worker is missing: make worker" >&2; exit 1; }
server=$programs/source-server
cleanups=()
declare -A started=()

finish()
{
	local status=$? i

	trap - EXIT
	set +e
	for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do
		eval "${cleanups[i]}"
	done
	if [ $status -ne 0 ] && [ $status -ne 77 ]; then
		tail -n 30 "$work"/*.log
	fi
	rm -rf --one-file-system "$work"
	exit $status
}
trap finish EXIT

cleanup_fn() { cleanups+=("$*"); }

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

skip()
{
	echo "$*"
	exit 77
}

requires()
{
	local tool

	for tool; do
		command -v "$tool" >/dev/null || fail "$tool is missing (scripts/deps installs it)"
	done
}

start()
{
	local name=$1
	shift

	"$@" </dev/null >"$work/$name.log" 2>&1 &
	started[$name]=$!
	cleanup_fn "stop $name"
}

stop()
{
	local pid=${started[$1]:-}

	[ -n "$pid" ] || return 0
	unset "started[$1]"
	if kill -0 "$pid" 2>&-; then
		kill "${2:--TERM}" "$pid"
	fi
	wait "$pid" || return 0
}

# A machine with other work may need several times as long; nothing but a failure waits for the end.
wait_for()
{
	local end=$((SECONDS + 6 * $1))
	shift

	until "$@"; do
		[ $SECONDS -lt $end ] || fail "not in time: $*"
		sleep 0.1
	done
}

free_port() { "$top/scripts/free-port"; }

# grep over a pipe, to its end: with -q the program in front could die of SIGPIPE.
has() { grep "$@" >"$work/grep.log"; }

listens() { ss -Hltn "sport = :$1" | has .; }

# A disk with data, holes and a partition table: make_disk FILE MIB
make_disk()
{
	truncate -s "$2M" "$1"
	printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$1"
	# Not "openssl </dev/zero | head": SIGPIPE would end a test that checks its pipes.
	head -c $(($2 << 18)) /dev/zero |
		openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff \
			-iv 00000000000000000000000000000000 |
		dd of="$1" bs=64k seek=16 iflag=fullblock conv=notrunc status=none
}

# serve FILE [OPTION...]: a source-server for it; sets port and psk.
serve()
{
	local file=$1
	shift

	port=$(free_port)
	psk=tester:$(openssl rand -hex 32)
	(umask 077; echo "$psk" >"$work/psk")
	start "source-server-$port" "$server" --drive "sda=$file" --listen "127.0.0.1:$port" \
		--psk-file "$work/psk" "$@"
	wait_for 10 listens "$port"
}

# job FILTER: a job that copies sda of the served disk to $work/target.raw, changed by a jq filter.
job()
{
	jq -n --arg url "${url:-tws://127.0.0.1:${port:-1}}" --arg psk "${psk:-tester:00112233445566778899aabbccddeeff}" \
		--arg target "$work/target.raw" '{version: 1, migration: "case", mode: "full",
		source: {url: $url, psk: $psk},
		drives: [{source: "sda", target: {device: $target}, target_state: "pristine"}],
		prepare: false, finish: "poweroff"} | '"${1:-.}" >"$work/job.json"
}

# run_job SECONDS: runs it; $status is the exit status, $work/result.json and run.log are left.
run_job()
{
	status=0
	rm -f "$work/result.json"
	timeout "$1" "$worker" run --job "$work/job.json" --result "$work/result.json" \
		>"$work/run.log" 2>&1 || status=$?
	[ $status -ne 124 ] || fail "worker run did not end within $1 s"
}

# expect_code CODE [TEXT]: the job failed with this code, everywhere it has to be told: exit status,
# console and result.json, with a hint; TEXT (a regular expression) is in the sentence.
expect_code()
{
	[ "$status" -ne 0 ] || fail "worker run succeeded; $1 was expected"
	[ -s "$work/result.json" ] || fail "no result.json; the console ends: $(tail -n 2 "$work/run.log")"
	jq -e --arg code "$1" '.verdict == "failed" and .code == $code and .err.code == $code and
		(.err.hint | length > 0) and (.err.text | length > 0)' "$work/result.json" >/dev/null ||
		fail "result.json tells $(jq -c '{verdict, err}' "$work/result.json"), not $1"
	grep -q "$1: " "$work/run.log" || fail "the console does not show $1"
	[ -z "${2:-}" ] || jq -e --arg re "$2" '.err.text | test($re)' "$work/result.json" >/dev/null ||
		fail "the sentence is: $(jq -r .err.text "$work/result.json")"
}

# Nothing at all was written to the target: it is as it was made.
expect_untouched()
{
	[ "$(jq .touched "$work/result.json")" = false ] || fail "result.json says the target was touched"
	cmp -s "$work/target.raw" "$work/target.before" || fail "the target was written to"
}

# A target with old data in it, so that any write shows.
make_target()
{
	truncate -s "$1M" "$work/target.raw"
	printf 'old data' | dd of="$work/target.raw" bs=1k seek=100 conv=notrunc status=none
	cp --sparse=always "$work/target.raw" "$work/target.before"
}

# head_held FILE: whether the first MiB of an unfinished target is still held back, so that nothing
# can start from it: zeroes, but for the block that carries the copy's mark.
head_held()
{
	cmp -s -n 4096 "$1" /dev/zero && cmp -s -i 8192:0 -n 1040384 "$1" /dev/zero &&
		{ cmp -s -i 4096:0 -n 4096 "$1" /dev/zero ||
			[ "$(dd if="$1" bs=4096 skip=1 count=1 status=none | head -c 17)" = "target-worker cop" ]; }
}
