#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Threads of the engine and of the server meet under ThreadSanitizer: their unit tests, and cases with
# both programs: many connections, strangers, broken rules, cancels and servers that come back.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires gcc

# Kernels with more random addresses than its runtime knows need them fixed.
echo 'int main(void) { return 0; }' >"$work/one.c"
gcc -fsanitize=thread -o "$work/one" "$work/one.c"
run=()
"$work/one" 2>"$work/one.log" || run=(setarch -R)
"${run[@]}" "$work/one" || fail "ThreadSanitizer does not run here: $(cat "$work/one.log")"

env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -j2 tsan >"$work/make.log" 2>&1 ||
	fail "make tsan: $(tail -n 5 "$work/make.log")"
export TSAN_OPTIONS="log_path=$work/report history_size=4"
clean() { # NAME STATUS
	local reports=("$work"/report.*)
	[ ! -e "${reports[0]}" ] || fail "$1: $(grep -h -A 12 WARNING "${reports[0]}" | head -n 40)"
	[ "$2" = 0 ] || fail "$1 ended with $2: $(tail -n 5 "$work/test.log")"
}
for test in build/tsan/unit/{copy,serve}/test-*; do
	[[ $test != *.d ]] || continue
	status=0
	"${run[@]}" "$test" >"$work/test.log" 2>&1 || status=$?
	clean "$test" $status
done
export TW_PROGRAMS=$top/build/tsan
for name in drive-second-reader drive-evil-client drive-evil-server drive-restarted-server; do
	status=0
	"${run[@]}" "tests/cases/$name.sh" >"$work/test.log" 2>&1 || status=$?
	clean "$name" $status
done

# A cancel in the middle, with the channels' requests on the way.
worker=$TW_PROGRAMS/worker
server=$TW_PROGRAMS/source-server
make_disk "$work/src" 64
serve "$work/src" --bandwidth 1M
under_way() { [ -e "$work/dst" ] && [ "$(du -k "$work/dst" 2>"$work/du.err" | cut -f 1)" -gt 1500 ]; }
for signal in TERM INT; do
	rm -f "$work/dst"
	# A program in the background of a script ignores SIGINT, unless it is told otherwise.
	"${run[@]}" env --default-signal=INT "$worker" copy --connections 8 --journal "$work/j" \
		"tws://127.0.0.1:$port/sda?psk-file=$work/psk" "$work/dst" >"$work/test.log" 2>&1 &
	pid=$!
	wait_for 30 under_way
	kill -$signal $pid
	status=0
	wait $pid || status=$?
	[ $status = 8 ] || fail "cancelled: exit status $status: $(tail -n 3 "$work/test.log")"
	clean "a cancel" 0
done
stop "source-server-$port"
clean "the server" 0
