#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The released source-server on a kernel as old as Linux 3.10: every system call that came later is
# refused with ENOSYS, as such a kernel does; it serves a drive over TLS none the less. (The kernel
# itself is this machine's: only its interface is made old.)
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires strace cmp
release=$top/build/worker/source-server
[ -x "$release" ] || fail "no $release: make worker"
! ldd "$release" >"$work/ldd" 2>&1 || grep -q statically "$work/ldd" ||
	fail "is not static: $(head -n 3 "$work/ldd")"

# After 3.10, by syscalls(2); strace leaves out names it does not know (?).
new='renameat2 sched_setattr sched_getattr seccomp getrandom memfd_create bpf kexec_file_load execveat
	membarrier userfaultfd mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free
	statx io_pgetevents rseq io_uring_setup io_uring_enter io_uring_register pidfd_send_signal
	open_tree move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2
	pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr futex_waitv'
names=$(for name in $new; do printf ',?%s' "$name"; done)
make_disk "$work/src" 24
server=$work/old
cat >"$server" <<END
#!/bin/bash
exec strace -I 2 -f -o $work/calls -e trace=${names#,} -e inject=${names#,}:error=ENOSYS $release "\$@"
END
chmod +x "$server"
serve "$work/src"
"$worker" copy --verify=full "tws://127.0.0.1:$port/sda?psk-file=$work/psk" "$work/dst" \
	>"$work/copy.log" 2>&1 || fail "copy: $(tail -n 3 "$work/copy.log")"
cmp "$work/src" "$work/dst"
# Nothing was refused is as good as refused and done without; it says which.
sort "$work/calls" | grep -o '[a-z_0-9]*(.*ENOSYS' | cut -d'(' -f1 | sort | uniq -c
! grep -v 'ENOSYS\|^[0-9 ]*+++\|^[0-9 ]*---\|unfinished\|resumed' "$work/calls" ||
	fail "a new system call got through"
