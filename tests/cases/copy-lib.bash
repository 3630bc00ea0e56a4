# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests use what is set here
# For tests/cases/copy-*.sh, over tests/lib.sh: sources with data, holes and an odd size, foreign
# NBD servers, runs of `worker copy`.
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
requires nbdkit qemu-nbd qemu-img jq
sock=$work/nbd.sock
uri="nbd+unix:///?socket=$sock&identity=one"

# make_source FILE MIB [EXTRA-BYTES]: a third is data of a cipher, the rest holes.
make_source() {
	truncate -s "$2M" "$1"
	openssl enc -aes-128-ctr -nosalt -K "$(printf %032x 7)" -iv "$(printf %032x 0)" \
		-in <(head -c "$(($2 << 20))" /dev/zero) -out "$1.data"
	local i
	for ((i = 0; i < $2; i += 3)); do
		dd if="$1.data" of="$1" bs=1M count=1 skip=$i seek=$i conv=notrunc status=none
	done
	rm "$1.data"
	[ -z "${3:-}" ] || head -c "$3" /dev/urandom >>"$1"
}

# nbd ARGUMENTS...: an nbdkit on $sock, ready when this returns. It comes back when it dies, for
# nbdkit 1.32 aborts when a client goes away with answers under way.
nbd() {
	stop nbdkit # one that is forgotten would idle until the next reboot
	rm -f "$sock"
	start nbdkit come_back "$@"
	wait_for 10 test -S "$sock"
}
come_back() {
	local pid='' ended=
	trap 'ended=1; [ -z "$pid" ] || kill -9 "$pid" 2>&- || :' TERM
	while [ -z "$ended" ]; do
		rm -f "$sock"
		nbdkit -f -U "$sock" "$@" &
		pid=$!
		# The signal may have come before there was a pid to send it to.
		[ -z "$ended" ] || kill -9 $pid
		wait $pid || sleep 0.1
	done
	wait $pid || return 0
}

# copy ARGUMENTS...: `worker copy --json`; sets status; the result is in $work/copy.json.
copy() {
	status=0
	timeout "${copy_limit:-250}" "$worker" copy --json "$@" >"$work/copy.json" 2>"$work/copy.log" ||
		status=$?
	[ $status -ne 124 ] || fail "worker copy did not end"
	! grep -qE 'AddressSanitizer|runtime error' "$work/copy.log" || fail "sanitizer report"
}

value() { jq -r ".$1" "$work/copy.json"; }
# good ARGUMENTS...: a copy that has to succeed.
good() {
	copy "$@"
	[ $status = 0 ] || fail "copy: $(tail -n 2 "$work/copy.log")"
}
# bad CODE ARGUMENTS...: a copy that has to end with this code.
bad() {
	local code=$1 got
	shift
	copy "$@"
	[ $status != 0 ] || fail "the copy succeeded; $code was expected"
	got=$(value 'errors[0].code')
	[ "$got" = "$code" ] || fail "$got, not $code: $(value 'errors[0].text')"
	[ -n "$(value 'errors[0].hint')" ] || fail "no hint"
}
