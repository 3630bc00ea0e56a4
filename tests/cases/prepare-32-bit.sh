#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest of 32 bits: its programs run, and what asks for the machine is told that it is one of 32 bits,
# as an initramfs tool that sees x86_64 looks for modules and libraries that are not there.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires gcc
[ "$(uname -m)" = x86_64 ] || skip "this machine runs no programs of i386"

# Without any library: says what uname(2) calls the machine.
cat >"$work/machine.c" <<'END'
struct names { char sys[65], node[65], release[65], version[65], machine[65], domain[65]; };
static int call(int number, long a, void *b, long c)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}
void _start(void)
{
	static struct names names;
	int n = 0;

	call(122, (long)&names, 0, 0);
	while (names.machine[n])
		n++;
	names.machine[n++] = '\n';
	call(4, 1, "machine: ", 9);
	call(4, 1, names.machine, n);
	call(1, 0, 0, 0);
}
END
gcc -m32 -O1 -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -o "$work/machine" "$work/machine.c"
"$work/machine" >"$work/own" || skip "this kernel runs no programs of i386"
[ "$(cat "$work/own")" = "machine: x86_64" ] || fail "outside of a guest: $(cat "$work/own")"

# The guest's shell is that program; the initramfs tool has BusyBox for its own.
phony
mkdir -p "$work/tree/etc/initramfs-tools/hooks"
echo /bin/sh >"$work/tree/etc/initramfs-tools/hooks/hook"
rm "$work/tree/bin/sh"
cp "$work/machine" "$work/tree/bin/sh"
for tool in usr/sbin/update-initramfs usr/bin/dpkg; do
	sed -i '1s|.*|#!/bin/busybox ash|' "$work/tree/$tool"
done
pack
prepare
[ "$status" = 0 ] || fail "exit status $status: $(cat "$work/prepare.log")"
is '.facts.arch == "i386" and .verdict == "boots"'
grep -q 'machine: i686' "$work/prepare.log" || fail "its tools see another machine: $(grep machine: "$work/prepare.log")"
