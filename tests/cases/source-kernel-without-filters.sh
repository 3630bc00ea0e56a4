#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel of RHEL 6's time knows neither PR_SET_NO_NEW_PRIVS nor filters of system calls: prctl says
# EINVAL. source-server says so and serves none the less, with and without file systems to freeze.
# (The kernel is this machine's; strace gives its answers.)
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires strace cmp
[ "$(id -u)" = 0 ] || skip "needs root: others have no capabilities to lose"

cat >"$work/old" <<END
#!/bin/bash
exec strace -I 2 -f -o $work/calls -e trace=prctl -e inject=prctl:error=EINVAL $server "\$@"
END
chmod +x "$work/old"
export ASAN_OPTIONS=detect_leaks=0 # it traces, too
new=$server
server=$work/old
head -c 4M /dev/urandom >"$work/src"
serve "$work/src"
"$worker" copy "tws://127.0.0.1:$port/sda?psk-file=$work/psk" "$work/dst" >"$work/copy.log" 2>&1 ||
	fail "copy: $(tail -n 2 "$work/copy.log")"
cmp "$work/src" "$work/dst"
log=$work/source-server-$port.log
grep -q 'cannot keep a process from gaining privileges' "$log" || fail "no warning about privileges"
grep -q 'cannot filter system calls' "$log" || fail "no warning about the filter"
grep -q 'PR_SET_SECCOMP.*EINVAL' "$work/calls" || fail "nothing was refused: $(head -n 5 "$work/calls")"
grep -q 'PR_CAPBSET_DROP.*EINVAL' "$work/calls" || fail "capabilities were not looked at"

# Any other failure is the end: nobody would know that it serves with all rights.
cat >"$work/old" <<END
#!/bin/bash
exec strace -I 2 -f -o $work/calls -e trace=prctl -e inject=prctl:error=EFAULT $new "\$@"
END
status=0
"$work/old" --drive "sda=$work/src" --listen 127.0.0.1:0 --allow-plain >"$work/refused.log" 2>&1 || status=$?
[ $status = 9 ] || fail "exit status $status with EFAULT: $(tail -n 2 "$work/refused.log")"
