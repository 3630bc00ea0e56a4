#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs of old guests run under the image's kernel: of 32 bits, and of 64 bits with a C library that
# asks the vsyscall page for the time, as those of RHEL 5 and 6 do.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires gcc
boot_begin

cat >"$dir/old32.c" <<'END'
static void call(int number, int a, const char *b, int c)
{
	__asm__ volatile("int $0x80" : "+a"(number) : "b"(a), "c"(b), "d"(c) : "memory");
}
void _start(void)
{
	call(4, 1, "32 bits\n", 8); /* write */
	call(1, 0, 0, 0);           /* exit */
}
END
cat >"$dir/old64.c" <<'END'
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	/* Documentation/arch/x86/x86_64/mm.rst and arch/x86/include/uapi/asm/vsyscall.h of Linux: time() */
	long (*volatile time_of_page)(long *) = (long (*)(long *))0xffffffffff600400ul;
	long before = syscall(SYS_time, 0), page = time_of_page(0), after = syscall(SYS_time, 0);

	puts(before <= page && page <= after && page > 0 ? "vsyscall time" : "vsyscall: another time");
	return 0;
}
END
gcc -m32 -O1 -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -o "$dir/old32" "$dir/old32.c"
gcc -O1 -static -Wall -Wextra -Werror -o "$dir/old64" "$dir/old64.c"

boot_worker <<'END'
/bin/old32
/bin/old64
tell finish poweroff
END
for program in old32 old64; do
	printf 'file /bin/%s %s 0755 0 0\n' $program "$dir/$program" >>"$dir/overlay.list"
done
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 128
boot_kernel
boot_run 60 || fail "the machine did not power off"
expect_off guest-shutdown
expect_serial '32 bits'
expect_serial 'vsyscall time'
