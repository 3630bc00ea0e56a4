#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Clients that break a rule of the drive protocol, one each: the connection is closed, what broke the
# rule is not served, and others are served as before.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires /usr/bin/python3 ss

truncate -s 4M "$work/src"
head -c 4M /dev/urandom | dd of="$work/src" bs=64k iflag=fullblock conv=notrunc status=none
port=$(free_port)
start server "$server" --drive "sda=$work/src" --listen "127.0.0.1:$port" --allow-plain
wait_for 10 listens "$port"
tests/cases/drive-evil-client.py "$port" >"$work/served" || fail "served: $(cat "$work/served")"
"$worker" copy --allow-plain "tw://127.0.0.1:$port/sda" "$work/dst" >"$work/copy.log" 2>&1 ||
	fail "an honest client: $(tail -n 2 "$work/copy.log")"
cmp "$work/src" "$work/dst"
stop server
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
