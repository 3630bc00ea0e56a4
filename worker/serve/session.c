/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: the connections of one worker, what they hold still,
 * and the names of what they read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "serve/serve-internal.h"

/* The session of that id; else a free place, or that of who was away for longest. */
static struct serve_session *find_session(struct serve *s, const uint8_t *id)
{
	struct serve_session *place = NULL;

	for (unsigned i = 0; i < SERVE_MAX_SESSIONS; i++) {
		struct serve_session *v = &s->sessions[i];

		if (v->used && !memcmp(v->id, id, sizeof(v->id)))
			return v;
		if (!v->connections && (!place || v->used < place->used))
			place = v;
	}
	if (place)
		*place = (struct serve_session){ .used = 0 };
	return place;
}

uint64_t serve_number_of(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u; /* FNV-1a */
	return h;
}

/* A session without stillness is served the drives as they are; what it says they are
 * must not move, or no copy of a drive in use would ever end. */
static void note_base(struct serve *s, struct serve_session *v)
{
	char text[40];

	for (unsigned i = 0; !s->freezer && i < s->n_drives; i++) {
		serve_drive_generation(&s->drives[i], text);
		v->base[i] = serve_number_of(text);
	}
}

bool serve_same_job(const struct serve_session *a, const struct serve_session *b)
{
	return a == b || (a->job[0] && !strcmp(a->job, b->job) &&
		!strcmp(a->owner, b->owner));
}

struct serve_session *serve_session_join(struct serve *s, const struct proto_hello *h,
	const char *owner, struct err *err)
{
	struct serve_session *v;

	pthread_mutex_lock(&s->lock);
	v = find_session(s, h->session);
	if (v && !v->used) {
		memcpy(v->id, h->session, sizeof(v->id));
		memcpy(v->job, h->job, sizeof(v->job));
		snprintf(v->owner, sizeof(v->owner), "%s", owner);
		serve_limit_init(&v->limit, 0);
		note_base(s, v);
	}
	if (v && (strcmp(v->owner, owner) || strcmp(v->job, h->job))) {
		err_set(err, ERR_SRC_AUTH, "the session is of another key or job");
		v = NULL;
	}
	if (v && v->connections >= SERVE_MAX_PER_SESSION)
		v = NULL;
	if (v) {
		v->connections++;
		v->used = ++s->clock;
	}
	pthread_mutex_unlock(&s->lock);
	return v;
}

void serve_session_leave(struct serve *s, struct serve_session *v)
{
	pthread_mutex_lock(&s->lock);
	if (v->connections == 1 && v->holding) {
		serve_freezer_release(s->freezer, true);
		v->holding = false;
		v->awaited = true;
	}
	v->connections--;
	pthread_mutex_unlock(&s->lock);
}

static int stale(struct err *err)
{
	err_set(err, ERR_SRC_READ,
		"another run of the same job has ended it; begin the copy again");
	err->sys = ESTALE;
	return -1;
}

int serve_session_check(struct serve *s, struct serve_session *v, struct err *err)
{
	bool ended;

	pthread_mutex_lock(&s->lock);
	ended = v->ended;
	pthread_mutex_unlock(&s->lock);
	return ended ? stale(err) : 0;
}

static int let_go_before(struct err *err)
{
	return err_set(err, ERR_SRC_READ, "the file systems were let go before everything "
		"was read; begin the copy again, or give more time with --freeze");
}

int serve_session_hold(struct serve *s, struct serve_session *v,
	const struct serve_wait *wait, struct err *err)
{
	uint64_t epoch, before;
	int status = 0;
	bool need;

	if (!s->freezer)
		return 0;
	pthread_mutex_lock(&s->lock);
	need = !v->holding && !v->released;
	before = v->epoch;
	pthread_mutex_unlock(&s->lock);
	if (!need)
		return 0;
	/* Nobody stands still for what cannot be vouched for. */
	if (before && !serve_freezer_intact(s->freezer, before))
		return let_go_before(err);
	if (serve_freezer_hold(s->freezer, wait, &epoch, err) < 0)
		return -1;
	pthread_mutex_lock(&s->lock);
	if (v->epoch && v->epoch != epoch)
		status = let_go_before(err);
	if (!status && v->ended)
		status = stale(err);
	if (!status && !v->holding && !v->released) {
		v->holding = true;
		v->awaited = false;
		v->epoch = epoch;
		epoch = 0;
	}
	pthread_mutex_unlock(&s->lock);
	if (epoch) /* refused, or another connection of the session was first */
		serve_freezer_release(s->freezer, false);
	return status;
}

bool serve_session_holds(struct serve *s, struct serve_session *v)
{
	bool holds;

	pthread_mutex_lock(&s->lock);
	holds = v->holding;
	pthread_mutex_unlock(&s->lock);
	return holds;
}

bool serve_session_is_released(struct serve *s, struct serve_session *v)
{
	bool released;

	pthread_mutex_lock(&s->lock);
	released = v->released;
	pthread_mutex_unlock(&s->lock);
	return released;
}

bool serve_session_intact(struct serve *s, struct serve_session *v)
{
	uint64_t epoch;
	bool holding, released, ended;

	pthread_mutex_lock(&s->lock);
	epoch = v->epoch;
	holding = v->holding;
	released = v->released;
	ended = v->ended;
	pthread_mutex_unlock(&s->lock);
	if (ended || !s->freezer)
		return !ended;
	return released || (holding && serve_freezer_intact(s->freezer, epoch));
}

void serve_session_release(struct serve *s, struct serve_session *v, bool whole_job)
{
	unsigned holding = 0;
	bool kept = false, others = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned i = 0; i < SERVE_MAX_SESSIONS; i++) {
		struct serve_session *other = &s->sessions[i];

		if (other != v && (!whole_job || !serve_same_job(other, v))) {
			others |= other->awaited &&
				serve_freezer_intact(s->freezer, other->epoch);
			continue;
		}
		holding += other->holding;
		kept |= other->awaited;
		/* Only who says it of itself may go on with what is not still. */
		if (other == v)
			v->released = true;
		else if (other->epoch || other->read)
			other->ended = true;
		other->holding = other->awaited = false;
	}
	pthread_mutex_unlock(&s->lock);
	while (holding--)
		serve_freezer_release(s->freezer, others);
	if (kept && !others)
		serve_freezer_expire(s->freezer);
}

/* While the file systems are still, so is the generation: what else writes (swap) is no
 * content that a copy would have to have. */
void serve_generation(struct serve *s, struct serve_session *v, unsigned drive,
	char ret[40])
{
	pthread_mutex_lock(&s->lock);
	if (!v->holding) {
		serve_drive_generation(&s->drives[drive], ret);
	} else {
		for (unsigned i = 0; s->generation_epoch != v->epoch && i < s->n_drives;
		    i++)
			serve_drive_generation(&s->drives[i], s->generations[i]);
		s->generation_epoch = v->epoch;
		memcpy(ret, s->generations[drive], sizeof(s->generations[drive]));
	}
	pthread_mutex_unlock(&s->lock);
}

void serve_state(struct serve *s, struct serve_session *v, unsigned drive, char ret[40])
{
	bool fixed = !s->freezer && !v->released;
	char text[40];

	serve_generation(s, v, drive, text);
	snprintf(ret, 40, "%016llx",
		(unsigned long long)(fixed ? v->base[drive] : serve_number_of(text)));
}
