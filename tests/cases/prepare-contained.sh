#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a program of the guest has of this machine: its rights, limits, descriptors and environment are
# those that it needs; system calls, kinds of sockets and device nodes that reach further are refused,
# with answers that its tools can live with; it reads neither the worker's memory nor what the kernel
# tells of this machine.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires gcc setpriv

secret=secret-$RANDOM$RANDOM-of-this-job
phony
hostile
# Each letter is one higher there, as that file is read, too.
tr -- ' -}' '!-~' <<<"$secret" >"$work/tree/root/texts"
printf '%s' "$secret" >"$work/key"
cat >"$work/tree/etc/initramfs-tools/hooks/look" <<'END2'
box=/bin/busybox
grep -E '^(NoNewPrivs|Cap...|Seccomp):' /proc/self/status
echo "files: $(ls /proc/self/fd | tr '\n' ' ')"
echo "score: $(cat /proc/self/oom_score_adj), umask $(umask), nice $($box cut -d' ' -f19 /proc/self/stat), host $($box hostname)"
grep -E '^Max (core|file size|open files|locked)' /proc/self/limits | tr -s ' '
echo "session $($box cut -d' ' -f6 /proc/self/stat), first $(cat /proc/1/comm)"
$box env | $box sort | sed 's/^/env /'
mkdir -p /var/tmp/nodes
hostile calls
hostile nodes /var/tmp/nodes /run /tmp /dev/shm /dev
hostile sockets
hostile search /root/texts
rm -r /var/tmp/nodes
echo looked
END2
pack 80
# As a service manager may start it: with capabilities that a program inherits.
status=0
SECRET=$secret setpriv --inh-caps +sys_admin,+sys_rawio,+syslog "$worker" prepare --json --nic "$nic" \
	--key "00000000-0000=$work/key" "$work/disk" >"$work/report.json" 2>"$work/prepare.log" || status=$?
[ "$status" = 0 ] || fail "exit status $status: $(jq -c .error "$work/report.json")"
sed -n 's/.*guest: //p' "$work/prepare.log" >"$work/said"
said() { grep -qxE "$1" "$work/said" || fail "the tool does not say: $1"; }
said looked
! grep BAD "$work/said" || fail "the tool has a way out"
said 'NoNewPrivs:.1'
said 'Seccomp:.2'
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, linux_immutable, sys_chroot, mknod, setfcap
for set in CapPrm CapEff CapBnd; do said "$set:.00000000880402fb"; done
said 'CapInh:.0000000000000000'
said 'CapAmb:.0000000000000000'
said 'files: 0 1 2 3 ' # the third is the folder that is listed
said "score: 1000, umask 0022, nice $(($(nice) + 5)), host localhost"
said 'session 2, first tool-init'
said 'Max core file size 0 0 bytes ?'
said 'Max file size 4294967296 4294967296 bytes ?'
said 'Max open files 1024 1024 files ?'
said 'Max locked memory 65536 65536 bytes ?'
[ "$(grep -c '^env ' "$work/said")" -le 14 ] || fail "environment: $(grep '^env ' "$work/said")"
said 'searched [0-9]{3,} files'
said 'no interface of 32-bit programs|32-bit programs are held, too'
