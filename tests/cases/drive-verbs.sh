#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The verbs of the drive protocol that a plain copy does not need, used by the second reader: CHANGED,
# FREEZE, THAW, SNAPSHOT, COMMIT, RESUME, PING, CANCEL and a LIMIT that changes while replies wait.
# PROGRESS says how much of a long HASH is done, by what the kernel counts of the server's reads.
# Then the same limit as the worker asks for it: kept by the server alone, and by the whole session.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires /usr/bin/python3 jq ss

head -c $(((8 << 20) + 4321)) /dev/urandom >"$work/src"
port=$(free_port)
truncate -s 64M "$work/long"
start server "$server" --drive "sda=$work/src" --drive "long=$work/long" --listen "127.0.0.1:$port" --allow-plain
wait_for 20 listens "$port"
tests/cases/drive-second-reader.py "$port" verbs sda
tests/cases/drive-second-reader.py "$port" progress long "${started[server]}"

start=$SECONDS
"$worker" copy --json --allow-plain --bandwidth 2M --connections 3 "tw://127.0.0.1:$port/sda" \
	"$work/dst" >"$work/copy.json" 2>"$work/copy.log" || fail "copy: $(tail -n 2 "$work/copy.log")"
cmp "$work/src" "$work/dst"
# 8 MiB of noise at 2 MiB/s; a busy machine takes longer, none is faster.
[ $((SECONDS - start)) -ge 2 ] || fail "the limit was not kept: $(jq .seconds "$work/copy.json") s"
[ "$(grep -c 'limit of 2097152 bytes/s' "$work/server.log")" = 1 ] ||
	fail "the server was told $(grep -c 'limit of' "$work/server.log") times"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
