/* SPDX-License-Identifier: Apache-2.0 */
/* Describes how a child ended: "signal 11 (Segmentation fault); ran 12 s;
 * maxrss 8123 kB; ...", and decides whether there is another one. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "init-internal.h"

enum {
	BUDGET = 3,             /* restarts in a row */
	BUDGET_ALL = 12,        /* altogether: one that crashes every hour ends, too */
	FORGIVE_SECONDS = 1800, /* a worker that ran so long begins a new row */
};

bool crash_count(struct crashes *c, unsigned ran_s)
{
	if (ran_s >= FORGIVE_SECONDS)
		c->in_row = 0;
	c->in_row++;
	c->all++;
	return c->in_row <= BUDGET && c->all <= BUDGET_ALL;
}

void crash_describe(char *ret, size_t size, const struct crash *crash)
{
	char how[96];

	if (crash->stalled)
		snprintf(how, sizeof(how),
			"stalled: no progress in the time it had asked for");
	else if (WIFSIGNALED(crash->status) && crash->oom)
		snprintf(how, sizeof(how), "killed: out of memory");
	else if (WIFSIGNALED(crash->status))
		snprintf(how, sizeof(how), "signal %d (%s)", WTERMSIG(crash->status),
			strsignal(WTERMSIG(crash->status)));
	else if (WEXITSTATUS(crash->status) == 0)
		snprintf(how, sizeof(how), "exit without a verdict");
	else
		snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(crash->status));
	snprintf(ret, size, "%s; ran %u s; maxrss %ld kB%s%s", how, crash->ran_s,
		crash->maxrss_kb, crash->last_line[0] ? "; last: " :
		"", crash->last_line);
	text_sanitise(ret);
}
