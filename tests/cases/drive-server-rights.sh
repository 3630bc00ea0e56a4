#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Once its drives and its port are open, source-server has no capabilities and cannot gain any, and
# only the system calls that it needs (unit/serve/test-filter); it serves and keeps journals as
# before. With file systems to freeze it keeps what that needs.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires ss /usr/bin/python3
[ "$(id -u)" = 0 ] || skip "needs root: others have no capabilities to lose"

field() { sed -n "s/^$1:[[:space:]]*//p" "/proc/${started[server]}/status"; }
up() {
	port=$(free_port)
	start server "$server" --drive "sda=$work/src" --listen "127.0.0.1:$port" --allow-plain "$@"
	wait_for 20 listens "$port"
}
expect() { # CAPABILITIES
	for set in CapPrm CapEff CapBnd; do
		[ "$(field $set)" = "$1" ] || fail "$set is $(field $set), not $1"
	done
	[ "$(field CapInh)" = 0000000000000000 ] || fail "CapInh is $(field CapInh)"
	[ "$(field NoNewPrivs)" = 1 ] || fail "it may gain privileges"
	[ "$(field Seccomp)" = 2 ] || fail "its system calls are not filtered"
}
copy() {
	rm -f "$work/dst"
	"$worker" copy --allow-plain --job-id j "tw://127.0.0.1:$port/sda" "$work/dst" >"$work/copy.log" 2>&1 ||
		fail "copy: $(tail -n 2 "$work/copy.log")"
	cmp "$work/src" "$work/dst"
}

head -c 8M /dev/urandom >"$work/src"
up
expect 0000000000000000
copy
stop server

mkdir "$work/state"
chown 65534 "$work/state" # somebody else's folder: that is what the one capability is for
chmod 700 "$work/state"
up --state-dir "$work/state"
expect 0000000000000002
copy
tests/cases/drive-second-reader.py "$port" verbs sda # commits, and does not say that it is done
find "$work/state" -name '*.journal' | has . || fail "no journal was kept"
stop server
