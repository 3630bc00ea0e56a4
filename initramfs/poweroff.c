/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /sbin/poweroff and /sbin/reboot: ask PID 1. The kernel itself runs these programs when
 * a hypervisor (Hyper-V, Xen) or a thermal event asks for an orderly end; without them it
 * cuts the power with filesystems mounted.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *name = argc > 0 ? argv[0] : "";
	const char *slash = strrchr(name, '/');
	int sig = strcmp(slash ? slash + 1 : name, "reboot") == 0 ? SIGUSR1 : SIGUSR2;

	if (kill(1, sig) < 0) {
		perror("poweroff: signal process 1");
		return 1;
	}
	return 0;
}
