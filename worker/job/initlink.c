/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker says to init, and the one question that init
 * answers (initramfs/init.8). */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "job/job-internal.h"

/* init has a limit of its own for each step;
 * this is for an init that is not there to answer. */
#define SETTLE_MS 300000

void job_init_send(int fd, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	if (fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	/* Without init there is nobody to tell; the log has it. */
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
		log_debug("init does not take \"%s\"", text);
}

/* One thing that stays, for the events and for the result. */
static void add_left(struct job_runner *r, enum err_code code, const char *text)
{
	struct err err = ERR_INIT;
	struct job_event e = { .type = "warning", .err = &err, .drive = -1,
		.attempt = r->attempt,
		.state = (enum job_state)atomic_load(&r->state) };

	err_set(&err, code, "%s", text);
	job_emit(r, &e);
	if (r->n_left < JOB_MAX_LEFT)
		r->left[r->n_left++] = err;
}

/* "CODE TEXT" */
static void take_left(struct job_runner *r, const char *text)
{
	static const enum err_code codes[] = { ERR_OFF_UMOUNT, ERR_OFF_DM, ERR_OFF_SYNC };
	size_t i, n = strcspn(text, " ");

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strlen(err_name(codes[i])) == n &&
		    !strncmp(text, err_name(codes[i]), n))
			add_left(r, codes[i], text + n + (text[n] == ' '));
}

/* Reads one answer. False when there is nothing more to wait for. */
static bool take_answer(struct job_runner *r)
{
	char text[512];
	ssize_t n = recv(r->env->init_fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		add_left(r, ERR_OFF_SYNC,
			"init ended before it had taken everything down");
		return false;
	}
	text[n] = '\0';
	if (!strncmp(text, "left ", 5))
		take_left(r, text + 5);
	return strcmp(text, "settled") != 0;
}

void job_init_settle(struct job_runner *r)
{
	struct pollfd p = { .fd = r->env->init_fd, .events = POLLIN };
	uint64_t end = clock_now_ms() + SETTLE_MS, now;

	r->n_left = 0;
	if (p.fd < 0)
		return;
	job_init_send(p.fd, "settle");
	while ((now = clock_now_ms()) < end)
		if (poll(&p, 1, (int)(end - now)) > 0 && !take_answer(r))
			return;
	add_left(r, ERR_OFF_SYNC, "init has not taken everything down in 300 s");
}
