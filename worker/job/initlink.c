/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "job/job-internal.h"

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
