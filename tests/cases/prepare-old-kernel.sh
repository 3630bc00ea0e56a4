#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests are prepared on a machine of RHEL 6's time, too: its kernel knows neither no_new_privs nor filters
# of system calls and says EINVAL, which is a warning; the tool's capabilities are dropped all the same.
# Any other answer is the end. (The kernel is this machine's, with a filter of ours in front of it.)
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires python3

cat >"$work/old-kernel" <<'END'
import ctypes, os, struct, sys
# prctl (157) of x86-64 with these options gets the errno; offsets are those of struct seccomp_data
errno, options = int(sys.argv[1]), [22, 38]
program = [(0x20, 0, 0, 0), (0x15, 0, len(options) + 1, 157), (0x20, 0, 0, 16)]
for i, option in enumerate(options):
    program.append((0x15, len(options) - i, 0, option))
program += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x00050000 | errno)]
code = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in program))
class Fprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
fprog = Fprog(len(program), ctypes.addressof(code))
if ctypes.CDLL(None, use_errno=True).prctl(22, 2, ctypes.byref(fprog), 0, 0):
    sys.exit(os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
END
new=$worker
# on_kernel ERRNO: prepares where prctl answers that
on_kernel()
{
	printf '#!/bin/sh\nexec python3 %s %s %s "$@"\n' "$work/old-kernel" "$1" "$new" >"$work/worker"
	chmod +x "$work/worker"
	worker=$work/worker
	prepare
}

phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
echo "grep -E '^(NoNewPrivs|CapBnd|CapEff):' /proc/self/status" >"$work/tree/etc/initramfs-tools/hooks/look"
pack
list before
on_kernel 14 # EFAULT
expect INTERNAL 9
list after
same before after "the guest is not as before"
on_kernel 22 # EINVAL
[ "$status" = 0 ] || fail "exit status $status: $(jq -c .error "$work/report.json")"
for what in 'forbid new privileges' 'filter system calls'; do
	grep -q "guest: target-worker: warning: this kernel cannot $what" "$work/prepare.log" || fail "no warning: $what"
done
grep -q 'guest: NoNewPrivs:.0' "$work/prepare.log" || fail "nothing was refused: $(grep NoNew "$work/prepare.log")"
for set in Bnd Eff; do grep -q "guest: Cap$set:.00000000880402fb" "$work/prepare.log" || fail "Cap$set is not dropped"; done
