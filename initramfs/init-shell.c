/* SPDX-License-Identifier: Apache-2.0 */
/* A shell on the first serial console: in the lab build, when tw.debug=1 asks for it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "init-internal.h"

#ifdef TW_LAB
static void become_shell(const char *tty)
{
	const char *argv[] = { "sh", NULL };
	const char *envp[] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/",
		"TERM=linux", NULL };
	char path[32];
	sigset_t none;

	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	file_write("/proc/self/oom_score_adj", "0");
	snprintf(path, sizeof(path), "/dev/%s", tty);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	if (open(path, O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2) {
		ioctl(0, TIOCSCTTY, 1);
		execve("/bin/busybox", (char **)argv, (char **)envp);
	}
	_exit(127);
}

pid_t shell_start(void)
{
	const char *tty = console_serial();
	pid_t pid;

	if (!tty)
		return 0;
	pid = fork();
	if (pid == 0)
		become_shell(tty);
	return pid < 0 ? 0 : pid;
}
#else
pid_t shell_start(void)
{
	return 0;
}
#endif
