/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

static int find_job(const struct serve_capture *c, const char *job)
{
	for (int i = 0; i < c->n_jobs; i++)
		if (!strcmp(c->jobs[i].job, job))
			return i;
	return -1;
}

static bool holds(const struct serve_capture *c)
{
	return c->held && clock_now_ms() < c->until_ms;
}

/* A place for a job: a free one, or that of the job that is done longest. */
static int new_job(struct serve_capture *c, const char *job)
{
	int at = c->n_jobs;

	if (at == SERVE_MAX_JOBS) {
		for (at = 0; at < SERVE_MAX_JOBS && !c->jobs[at].released; at++)
			;
		if (at == SERVE_MAX_JOBS)
			at = 0;
	} else {
		c->n_jobs++;
	}
	snprintf(c->jobs[at].job, sizeof(c->jobs[at].job), "%s", job);
	c->jobs[at].period = c->period;
	c->jobs[at].released = false;
	return at;
}

static int begin(struct serve_capture *c, struct err *err)
{
	uint32_t id;
	uint64_t now = clock_now_ms();

	if (c->held) {
		serve_freezer_thaw(&c->freezer);
		c->held = false;
	}
	if (serve_freezer_freeze(&c->freezer, &id, err) < 0)
		return -1;
	c->held = true;
	c->period++;
	c->until_ms = now + (uint64_t)c->limit_s * 1000 - 1000;
	log_info("the drives are held still, for at most %u s", c->limit_s);
	return 0;
}

static int join_locked(struct serve_capture *c, const char *job, struct err *err)
{
	int i = find_job(c, job);

	if (i >= 0 && c->jobs[i].released)
		return 0;
	if (i >= 0 && c->jobs[i].period == c->period && holds(c))
		return 0;
	if (i >= 0) {
		err_set(err, ERR_SRC_READ, "the file systems were let go before everything was "
			"read; begin the copy again, or allow more time with --freeze");
		err->sys = ESTALE;
		return -1;
	}
	if (!holds(c) && begin(c, err) < 0)
		return -1;
	new_job(c, job);
	return 0;
}

int serve_capture_join(struct serve_capture *c, const char *job, struct err *err)
{
	int r;

	if (c->freezer.fd < 0)
		return 0;
	pthread_mutex_lock(&c->lock);
	r = join_locked(c, job, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

bool serve_capture_valid(struct serve_capture *c, const char *job)
{
	bool ok;
	int i;

	if (c->freezer.fd < 0)
		return true;
	pthread_mutex_lock(&c->lock);
	i = find_job(c, job);
	ok = i >= 0 && (c->jobs[i].released || (c->jobs[i].period == c->period && holds(c)));
	pthread_mutex_unlock(&c->lock);
	return ok;
}

static void end_locked(struct serve_capture *c, const char *why)
{
	if (!c->held)
		return;
	serve_freezer_thaw(&c->freezer);
	c->held = false;
	log_info("the drives are let go: %s", why);
}

void serve_capture_release(struct serve_capture *c, const char *job)
{
	bool wanted = false;
	int i;

	pthread_mutex_lock(&c->lock);
	i = find_job(c, job);
	if (i >= 0)
		c->jobs[i].released = true;
	for (i = 0; i < c->n_jobs; i++)
		wanted |= !c->jobs[i].released && c->jobs[i].period == c->period;
	if (!wanted)
		end_locked(c, "all was read");
	pthread_mutex_unlock(&c->lock);
}

void serve_capture_end(struct serve_capture *c, const char *why)
{
	pthread_mutex_lock(&c->lock);
	end_locked(c, why);
	pthread_mutex_unlock(&c->lock);
}
