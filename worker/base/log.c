/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* init hands lines on to /dev/kmsg: at most 1024 with its prefix (LOG_LINE_MAX) */
#define LINE_MAX_BYTES 900
#define RECENT_BYTES 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static enum log_level max_level = LOG_LEVEL_INFO;
static char recent[RECENT_BYTES];
static size_t recent_used;

void log_set_level(enum log_level level)
{
	max_level = level;
}

/* Whole lines are dropped from the front when there is no room. */
static void remember(const char *line, size_t len)
{
	if (recent_used + len > sizeof(recent)) {
		size_t need = recent_used + len - sizeof(recent);
		char *nl = memchr(recent + need - 1, '\n', recent_used - need + 1);
		size_t drop = nl ? (size_t)(nl - recent) + 1 : recent_used;

		memmove(recent, recent + drop, recent_used - drop);
		recent_used -= drop;
	}
	memcpy(recent + recent_used, line, len);
	recent_used += len;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	char line[LINE_MAX_BYTES];
	struct timespec now;
	size_t len, head;
	ssize_t written;
	va_list ap;
	int n;

	if (level > max_level)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "[%5lld.%03ld] %s: ", (long long)now.tv_sec,
		now.tv_nsec / 1000000, names[level]);
	head = (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + head, sizeof(line) - head - 1, fmt, ap);
	va_end(ap);
	len = strlen(line);
	for (size_t i = head; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	pthread_mutex_lock(&lock);
	remember(line, len);
	/* A log that cannot be written must not stop the job;
	 * the ring in memory has it. */
	written = write(STDERR_FILENO, line, len);
	(void)written;
	pthread_mutex_unlock(&lock);
}

size_t log_recent(char *buf, size_t size)
{
	size_t len, skip = 0;

	if (!size)
		return 0;
	pthread_mutex_lock(&lock);
	len = recent_used;
	if (len > size - 1) {
		char *nl;

		skip = len - (size - 1);
		nl = memchr(recent + skip - 1, '\n', len - skip + 1);
		skip = nl ? (size_t)(nl - recent) + 1 : len;
		len -= skip;
	}
	memcpy(buf, recent + skip, len);
	pthread_mutex_unlock(&lock);
	buf[len] = '\0';
	return len;
}
