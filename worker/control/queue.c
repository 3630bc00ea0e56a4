/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define MAX_STEPS 1024 /* waiting events above which steps are dropped */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static void free_event(struct control_event *e)
{
	if (!e)
		return;
	free(e->text);
	free(e->err);
	free(e);
}

static struct control_event *make(const struct job_event *in)
{
	struct control_event *e = calloc(1, sizeof(*e));
	struct timespec now;

	if (!e)
		return NULL;
	snprintf(e->type, sizeof(e->type), "%s", in->type ? in->type : "state");
	snprintf(e->step, sizeof(e->step), "%s", in->step ? in->step : "");
	e->state = in->state;
	e->drive = in->drive;
	e->attempt = in->attempt;
	e->important = in->err ||
		(!ends_with(e->type, ".progress") && strncmp(e->type, "step.", 5));
	if (in->progress) {
		e->has_progress = true;
		e->progress = *in->progress;
	}
	e->monotonic_ms = in->at_ms ? in->at_ms : clock_now_ms();
	clock_gettime(CLOCK_REALTIME, &now);
	e->time_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (in->at_ms)
		e->time_ms -= (int64_t)(clock_now_ms() - in->at_ms);
	e->text = in->text ? strdup(in->text) : NULL;
	e->err = in->err ? malloc(sizeof(*e->err)) : NULL;
	if ((in->text && !e->text) || (in->err && !e->err)) {
		free_event(e);
		return NULL;
	}
	if (e->err)
		*e->err = *in->err;
	return e;
}

/* Takes the event out that is behind *at. */
static void unlink_event(struct control_queue *q, struct control_event **at,
	struct control_event *before)
{
	struct control_event *e = *at;

	*at = e->next;
	if (q->tail == e)
		q->tail = before;
	q->n--;
	q->n_important -= e->important;
	free_event(e);
}

/* An older report about the same drive says nothing any more. */
static void drop_older_progress(struct control_queue *q, const struct control_event *e)
{
	struct control_event **at = &q->head, *before = NULL;

	while (*at) {
		if (!(*at)->sequence && !(*at)->important && (*at)->drive == e->drive &&
		    !strcmp((*at)->type, e->type)) {
			unlink_event(q, at, before);
			continue;
		}
		before = *at;
		at = &before->next;
	}
}

static bool same_failure(const struct control_event *a, const struct control_event *b)
{
	return a && !a->sequence && a->err && b->err && a->err->code == b->err->code &&
		a->state == b->state && a->drive == b->drive &&
		!strcmp(a->type, b->type) && !strcmp(a->step, b->step) &&
		!strcmp(a->err->text, b->err->text);
}

void control_queue_add(struct control_queue *q, const struct job_event *in)
{
	struct control_event *e = make(in);

	if (!e) {
		q->dropped++;
		return;
	}
	if (same_failure(q->tail, e)) {
		q->tail->repeated++;
		q->tail->attempt = e->attempt;
		free_event(e);
		return;
	}
	if (ends_with(e->type, ".progress")) {
		drop_older_progress(q, e);
	} else if (!e->important && q->n >= MAX_STEPS) {
		q->dropped++;
		free_event(e);
		return;
	}
	if (q->tail)
		q->tail->next = e;
	else
		q->head = e;
	q->tail = e;
	q->n++;
	q->n_important += e->important;
}

unsigned control_queue_batch(struct control_queue *q, unsigned max)
{
	struct control_event *e;
	unsigned n = 0;

	for (e = q->head; e && n < max; e = e->next, n++)
		if (!e->sequence)
			e->sequence = ++q->last_sequence;
	return n;
}

void control_queue_remove(struct control_queue *q, unsigned n)
{
	while (n-- && q->head)
		unlink_event(q, &q->head, NULL);
}

void control_queue_free(struct control_queue *q)
{
	control_queue_remove(q, q->n);
}
