/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives that are served from snapshots. There is one snapshot of a drive at a time, made
 * when a job begins to read and dropped when it has everything; sessions of the job share
 * it. In between the drive's descriptor is that of /dev/null, so that nothing is held
 * open that is to be removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

int serve_caught_new(struct serve *s, const struct serve_config *c, struct err *err)
{
	s->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (s->null < 0)
		return err_sys(err, ERR_INTERNAL, "open /dev/null");
	s->grace_s = c->grace_s;
	pthread_mutex_init(&s->catching, NULL);
	return serve_snapper_new(c, &s->snapper, err);
}

/* Reads under way end first; those that come later find nothing. */
static int let_go(struct serve *s, unsigned i, struct err *err)
{
	s->caught[i].ready = false;
	if (dup3(s->null, s->drives[i].dev.fd, O_CLOEXEC) < 0)
		return err_sys(err, ERR_INTERNAL, "close %s", s->drives[i].name);
	return serve_snapper_drop(s->snapper, i, err);
}

/* What was read of an older one must not be continued:
 * the state of all sessions changes. */
static void adopt(struct serve *s, unsigned i, int fd, const struct stat *st)
{
	char text[40];

	pthread_mutex_lock(&s->lock);
	s->drives[i].device = st->st_rdev;
	serve_drive_generation(&s->drives[i], text);
	for (unsigned k = 0; k < SERVE_MAX_SESSIONS; k++)
		s->sessions[k].base[i] = serve_number_of(text);
	memcpy(s->generations[i], text, sizeof(text));
	pthread_mutex_unlock(&s->lock);
	s->caught[i].number++;
	s->caught[i].ready = true;
	log_info("drive %s: snapshot %u", s->drives[i].name, s->caught[i].number);
	close(fd);
}

/* ERR_SRC_SNAPSHOT with ENOSPC: as PROTOCOL.md says it. */
static int renew(struct serve *s, unsigned i, const struct serve_wait *wait,
	struct err *err)
{
	struct serve_drive *d = &s->drives[i];
	uint64_t size = 0;
	struct stat st;
	int fd;

	if (let_go(s, i, err) < 0 ||
		serve_snapper_make(s->snapper, i, wait, &fd, err) < 0) {
		err->sys = ENOSPC;
		return err_wrap(err, "drive %s", d->name);
	}
	if (fstat(fd, &st) < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0 ||
		size != d->dev.size || dup3(fd, d->dev.fd, O_CLOEXEC) < 0) {
		close(fd);
		err_set(err, ERR_SRC_SNAPSHOT,
			"drive %s: has %llu bytes now; start source-server "
			"again", d->name, (unsigned long long)size);
		err->sys = ENOSPC;
		return -1;
	}
	adopt(s, i, fd, &st);
	return 0;
}

/* A first snapshot shows that there can be one, and what it is like:
 * PATH to be opened. */
bool serve_caught_open(struct serve *s, unsigned i, struct serve_drive_spec *spec,
	char path[64], int *ret_fd)
{
	struct err err = ERR_INIT;

	if (!serve_snapper_knows(s->snapper, i))
		return false;
	if (serve_snapper_make(s->snapper, i, NULL, ret_fd, &err) < 0) {
		log_warn("drive %s: no snapshot: %s; what is mounted from it is frozen while it is "
			"read", spec->name, err.text);
		return false;
	}
	snprintf(path, 64, "/proc/self/fd/%d", *ret_fd);
	spec->path = path;
	return true;
}

int serve_caught_opened(struct serve *s, unsigned i, int fd, struct err *err)
{
	close(fd);
	s->caught[i].has = s->drives[i].caught = true;
	return let_go(s, i, err);
}

/* Whose snapshot it is: by name, so that a worker that was started
 * again goes on with it. */
static bool is_owner(const struct serve_caught *k, const struct serve_session *v)
{
	return !memcmp(k->owner, v->id, sizeof(v->id)) ||
		(v->job[0] && !strcmp(k->job, v->job) && !strcmp(k->user, v->owner));
}

/* Connected sessions of other jobs that have read the drive. */
static bool others_read(struct serve *s, const struct serve_session *v, unsigned i)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned k = 0; k < SERVE_MAX_SESSIONS; k++) {
		const struct serve_session *o = &s->sessions[k];

		found |= o->connections && (o->read >> i & 1) && !serve_same_job(v, o);
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

static int own(struct serve_conn *c, unsigned i, struct err *err)
{
	struct serve_caught *k = &c->serve->caught[i];

	if (renew(c->serve, i, c->wait, err) < 0)
		return -1;
	memcpy(k->owner, c->session->id, sizeof(k->owner));
	memcpy(k->job, c->session->job, sizeof(k->job));
	memcpy(k->user, c->session->owner, sizeof(k->user));
	return 0;
}

static int stale(struct serve_conn *c, unsigned i, struct err *err)
{
	err_set(err, ERR_SRC_READ,
		"drive %s: there is a newer snapshot; begin the copy again",
		c->serve->drives[i].name);
	err->sys = ESTALE;
	return -1;
}

static int lost(struct serve_conn *c, unsigned i, struct err *err)
{
	err_set(err, ERR_SRC_SNAPSHOT, "drive %s: its snapshot was full and is removed",
		c->serve->drives[i].name);
	err->sys = ENOSPC;
	return -1;
}

/* begin: the connection says that it is going to read, and has not yet. */
static int bind_drive(struct serve_conn *c, unsigned i, bool begin, struct err *err)
{
	struct serve *s = c->serve;
	struct serve_caught *k = &s->caught[i];
	int r = 0;

	if (!k->has)
		return 0;
	pthread_mutex_lock(&s->catching);
	if (!begin && c->caught[i] && c->caught[i] != k->number)
		r = stale(c, i, err);
	else if (c->caught[i] && c->caught[i] == k->number && !k->ready)
		r = lost(c, i, err);
	else if (!k->ready ||
	    (begin && !is_owner(k, c->session) && !others_read(s, c->session, i)))
		r = own(c, i, err);
	if (!r) {
		c->caught[i] = k->number;
		pthread_mutex_lock(&s->lock);
		if (!begin)
			c->session->read |= 1ull << i;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&s->catching);
	return r;
}

int serve_caught_bind(struct serve_conn *c, const struct proto_frame *f, struct err *err)
{
	if (!c->serve->snapper)
		return 0;
	if (f->type != PROTO_DISKS && f->type != PROTO_FREEZE)
		return bind_drive(c, f->disk, false, err);
	for (unsigned i = 0; i < c->serve->n_drives; i++)
		if (serve_may_read(c, i) && bind_drive(c, i, true, err) < 0)
			return -1;
	return 0;
}

int serve_caught_intact(struct serve_conn *c, unsigned i, bool failed, struct err *err)
{
	struct serve *s = c->serve;
	const struct serve_caught *k = &s->caught[i];

	if (!k->has)
		return 0;
	if (k->number != c->caught[i])
		return stale(c, i, err);
	return !k->ready || serve_snapper_lost(s->snapper, i, failed) ? lost(c, i, err) :
		0;
}

int serve_caught_take(struct serve_conn *c, unsigned i, struct err *err)
{
	struct serve *s = c->serve;
	int r;

	if (!s->caught[i].has) {
		err_set(err, ERR_SRC_SNAPSHOT,
			"no snapshots of this drive: begin a new session for a "
			"new point in time");
		err->sys = EOPNOTSUPP;
		return -1;
	}
	pthread_mutex_lock(&s->catching);
	if (others_read(s, c->session, i)) {
		r = err_set(err, ERR_SRC_SNAPSHOT,
			"drive %s: another job reads its snapshot", s->drives[i].name);
		err->sys = EBUSY;
	} else {
		r = own(c, i, err);
	}
	if (!r)
		c->caught[i] = s->caught[i].number;
	pthread_mutex_unlock(&s->catching);
	return r;
}

void serve_caught_done(struct serve_conn *c)
{
	struct serve *s = c->serve;

	for (unsigned i = 0; s->snapper && i < s->n_drives; i++) {
		struct serve_caught *k = &s->caught[i];
		struct err err = ERR_INIT;

		pthread_mutex_lock(&s->catching);
		if (k->ready && is_owner(k, c->session) &&
			!others_read(s, c->session, i) && let_go(s, i, &err) < 0)
			log_error("drive %s: %s", s->drives[i].name, err.text);
		pthread_mutex_unlock(&s->catching);
	}
}

/* A full one is of no use to anybody, and takes room. */
static void drop_full(struct serve *s, unsigned i)
{
	struct err err = ERR_INIT;

	pthread_mutex_lock(&s->catching);
	if (s->caught[i].ready && serve_snapper_lost(s->snapper, i, false) &&
		let_go(s, i, &err) < 0)
		log_error("drive %s: %s", s->drives[i].name, err.text);
	pthread_mutex_unlock(&s->catching);
}

static bool needed(struct serve *s, unsigned i)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (unsigned k = 0; k < SERVE_MAX_SESSIONS; k++) {
		const struct serve_session *o = &s->sessions[k];

		found |= o->connections &&
			((o->read >> i & 1) || is_owner(&s->caught[i], o));
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Whose client does not come back only costs the source room and speed. */
static void drop_forgotten(struct serve *s, unsigned i)
{
	struct serve_caught *k = &s->caught[i];
	struct err err = ERR_INIT;
	uint64_t now = clock_now_ms();

	pthread_mutex_lock(&s->catching);
	if (!k->ready || needed(s, i)) {
		k->idle_ms = 0;
	} else if (!k->idle_ms) {
		k->idle_ms = now;
	} else if (now - k->idle_ms >= s->grace_s * 1000ull) {
		k->idle_ms = 0;
		log_info("drive %s: nobody came back for its snapshot",
			s->drives[i].name);
		if (let_go(s, i, &err) < 0)
			log_error("drive %s: %s", s->drives[i].name, err.text);
	}
	pthread_mutex_unlock(&s->catching);
}

/* Not the keeper's work: lvm may take its time,
 * and that thread feeds the thaw watchdog. */
void *serve_caught_watch(void *arg)
{
	static const struct timespec pause = { .tv_nsec = 200000000 };
	struct serve *s = arg;

	while (!s->stop) {
		for (unsigned i = 0; i < s->n_drives; i++)
			if (s->caught[i].ready &&
			    serve_snapper_lost(s->snapper, i, false))
				drop_full(s, i);
			else if (s->caught[i].has)
				drop_forgotten(s, i);
		serve_snapper_drain(s->snapper);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

void serve_caught_free(struct serve *s)
{
	serve_snapper_free(s->snapper);
	if (s->null > 0)
		close(s->null);
}
