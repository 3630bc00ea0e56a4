/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log may end in a file or a journal on a file system that is frozen, where a write
 * blocks until it thaws. So it goes through a pipe that takes what it can hold and drops
 * the rest, and only the thread behind the pipe can be blocked.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "serve/serve-internal.h"

static void *pass_on(void *arg)
{
	const struct serve_log *l = arg;
	char buf[4096];
	ssize_t n;

	while ((n = read(l->pipe, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && write(l->fd, buf, (size_t)n) < 0 && errno == EPIPE)
			break;
	return NULL;
}

int serve_log_detach(struct serve_log *ret, struct err *err)
{
	int ends[2];

	ret->fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (ret->fd < 0 || pipe2(ends, O_CLOEXEC) < 0 ||
		dup2(ends[1], STDERR_FILENO) < 0 ||
		fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, ERR_INTERNAL, "pipe of the log");
	close(ends[1]);
	ret->pipe = ends[0];
	if (pthread_create(&ret->thread, NULL, pass_on, ret))
		return err_set(err, ERR_NOMEM, "start a thread");
	return 0;
}

void serve_log_end(struct serve_log *l)
{
	close(STDERR_FILENO); /* the thread passes on what is left, and ends */
	pthread_join(l->thread, NULL);
	dup2(l->fd, STDERR_FILENO);
	close(l->fd);
	close(l->pipe);
}
