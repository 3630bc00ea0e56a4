#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A process that holds keys keeps them: no core dump of the worker, of source-server, or of what they
# start; no other process of the same user reads its memory or environment; the worker's memory is
# not swapped out; and no secret is in a command line, an environment, the log or the result.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq openssl ss setpriv

ulimit -c unlimited
make_disk "$work/disk" 8
serve "$work/disk"
server_pid=${started[source-server-$port]}
job '.bandwidth = "64K" | .verify = "none"'
chmod 711 "$work"
install -d -m 777 "$work/nobody"
install -m 644 "$work/job.json" "$work/nobody/job.json"
# As a user without rights; what he himself may read is the question. The target is his, too.
jq --arg t "$work/nobody/target.raw" '.drives[0].target.device = $t' "$work/job.json" >"$work/nobody/job.json"
cp "$worker" "$work/nobody/worker"
start nobody setpriv --reuid 65534 --regid 65534 --clear-groups "$work/nobody/worker" run \
	--job "$work/nobody/job.json" --result "$work/nobody/result.json"
start root "$worker" run --job "$work/job.json" --result "$work/result.json"
copies() { [ -s "$1" ] && grep -q 'COPY' "$2"; }
wait_for 30 copies "$work/nobody/target.raw" "$work/nobody.log"
wait_for 30 copies "$work/target.raw" "$work/root.log"

secret=${psk#*:}
for who in root nobody server; do
	pid=${started[$who]:-$server_pid}
	grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits" || fail "$who: $(grep core "/proc/$pid/limits")"
	for file in cmdline environ; do
		! tr '\0' '\n' <"/proc/$pid/$file" | has "$secret" || fail "$who: the secret is in $file"
	done
done
# Its memory is not open to others of the same user; a program that does not care for it is.
peek() { setpriv --reuid 65534 --regid 65534 --clear-groups head -c 1 "/proc/$1/environ" 2>"$work/peek.log"; }
start open setpriv --reuid 65534 --regid 65534 --clear-groups sleep 900
readable() { [ -n "$(peek "${started[open]}" | tr '\0' x)" ]; }
wait_for 10 readable
! peek "${started[nobody]}" >"$work/peeked" || fail "another process reads the worker's environment"
grep -q 'Permission denied' "$work/peek.log" || fail "not refused but: $(cat "$work/peek.log")"
# Sanitizers leave mlockall out.
case $worker in
*/host/*) ;;
*) grep -qE '^VmLck:\s+[1-9]' "/proc/${started[root]}/status" || fail "the worker's memory may be swapped out" ;;
esac

kill -TERM "${started[root]}" "${started[nobody]}"
wait "${started[root]}" "${started[nobody]}" || :
for file in root.log nobody.log result.json nobody/result.json "source-server-$port.log"; do
	[ -s "$work/$file" ] || fail "$file: nothing in it"
	! grep -q "$secret" "$work/$file" || fail "the secret is in $file"
done
