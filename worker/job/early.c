/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens before the job is known has nobody to be told to yet: it is kept, and
 * handed to the port as soon as there is one, with the time at which it happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "job/job-internal.h"

static void forget(struct job_early_event *k)
{
	free(k->text);
	free(k->step);
	free(k->err);
	memset(k, 0, sizeof(*k));
}

static bool copy_text(char **ret, const char *s)
{
	*ret = s ? strdup(s) : NULL;
	return *ret || !s;
}

void job_early_keep(struct job_early *q, const struct job_event *e)
{
	struct job_early_event *k = &q->list[q->n];

	if (e->progress)
		return;
	if (q->n == JOB_MAX_EARLY) {
		q->lost++;
		return;
	}
	k->e = *e;
	k->e.at_ms = clock_now_ms();
	if (!copy_text(&k->text, e->text) || !copy_text(&k->step, e->step) ||
		(e->err && !(k->err = malloc(sizeof(*k->err))))) {
		forget(k);
		q->lost++;
		return;
	}
	if (e->err)
		*k->err = *e->err;
	k->e.text = k->text;
	k->e.step = k->step;
	k->e.err = k->err;
	q->n++;
}

void job_early_send(struct job_early *q, const struct job_port *port)
{
	int i;

	for (i = 0; i < q->n && port->event; i++)
		port->event(port->ctx, &q->list[i].e);
	job_early_free(q);
}

void job_early_free(struct job_early *q)
{
	while (q->n)
		forget(&q->list[--q->n]);
}
