#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Somebody who is not root gets the exact list of what is missing, and nothing is installed or
# started; with nothing missing the step says so at once.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires setpriv dpkg-query
[ "$(id -u)" = 0 ] || skip "needs root: becomes another user"

mkdir "$work/scripts"
chmod 755 "$work" "$work/scripts"
cp scripts/deps "$work/scripts/"
as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups "$work/scripts/deps"; }

printf 'bash # a shell\nno-such-package-1 # one\ndpkg # more\nno-such-package-2 # two\n' >"$work/scripts/packages.list"
if as_user >"$work/out" 2>"$work/err"; then fail "missing packages, and exit status 0"; fi
[ "$(cat "$work/err")" = "deps: missing packages; as root run:
  apt-get update && apt-get install --no-install-recommends no-such-package-1 no-such-package-2" ] ||
	fail "$(cat "$work/err")"
[ ! -s "$work/out" ] || fail "it did more: $(cat "$work/out")"

printf 'bash # a shell\n' >"$work/scripts/packages.list"
as_user >"$work/out" || fail "nothing is missing"
grep -q '^deps: 1 packages present' "$work/out" || fail "$(cat "$work/out")"
