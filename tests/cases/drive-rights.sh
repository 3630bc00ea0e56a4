#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A key reads the drives and does the jobs that its line of the key file names, and no others; a line
# without such words may do all. The worker takes the same file.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"

make_disk "$work/a" 8
make_disk "$work/b" 9
port=$(free_port)
key() { openssl rand -hex 32; }
(umask 077; printf '%s\n' "# who may what" "all:$(key)" "web:$(key) drives=sda jobs=m-1,web-*" \
	"data:$(key)	drives=sd*" >"$work/keys")
start server "$server" --drive "sda=$work/a" --drive "sdb=$work/b" --drive "root=$work/a" \
	--listen "127.0.0.1:$port" --psk-file "$work/keys" --state-dir "$work"
wait_for 10 listens "$port"
as() { # USER DRIVE: the URI
	echo "tws://$1@127.0.0.1:$port/$2?psk-file=$work/keys"
}

good --job-id m-1 "$(as web sda)" "$work/dst"
cmp "$work/a" "$work/dst"
good --job-id web-7 "$(as web sda)" "$work/dst"
bad SRC_NO_DRIVE --job-id m-1 "$(as web sdb)" "$work/new"
bad SRC_AUTH --job-id m-2 "$(as web sda)" "$work/new"
grep -q 'not for job "m-2"' "$work/copy.log" || fail "unclear: $(tail -n 2 "$work/copy.log")"
bad SRC_AUTH "$(as web sda)" "$work/new" # without a name it could be any job
[ ! -e "$work/new" ] || fail "a target was made"
good "$(as data sdb)" "$work/dst2"
cmp "$work/b" "$work/dst2"
bad SRC_NO_DRIVE "$(as data root)" "$work/new"
for drive in sda sdb root; do
	rm -f "$work/dst2"
	good --job-id m-2 "$(as all $drive)" "$work/dst2"
done
cmp "$work/a" "$work/dst2"
stop server
# A word that means nothing is no permission.
status=0
sed 's/ drives=sda/ drive=sda/' "$work/keys" >"$work/wrong"
"$server" --drive "sda=$work/a" --listen "127.0.0.1:$port" --psk-file "$work/wrong" \
	>"$work/wrong.log" 2>&1 || status=$?
[ $status = 2 ] || fail "exit status $status with a wrong key file"
grep -q 'line 3' "$work/wrong.log" || fail "unclear: $(cat "$work/wrong.log")"
! grep -qE 'AddressSanitizer|runtime error' "$work"/*.log || fail "sanitizer report"
