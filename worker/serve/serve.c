/* SPDX-License-Identifier: Apache-2.0 */
/* The server: what it opens, and the threads beside those of connections. */
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/serve-internal.h"

static int open_drive(struct serve *s, unsigned i, const struct serve_drive_spec *given,
	struct err *err)
{
	struct serve_drive *d = &s->drives[i];
	struct serve_drive_spec spec = *given;
	char path[64];
	int fd;
	bool caught = serve_caught_open(s, i, &spec, path, &fd);

	if (serve_drive_open(&spec, d, err) < 0) {
		if (caught)
			close(fd);
		return -1;
	}
	s->n_drives++;
	snprintf(d->dev.name, sizeof(d->dev.name), "%s", given->path);
	log_info("drive %s: %s, %llu bytes%s%s", d->name, given->path,
		(unsigned long long)d->dev.size,
		d->no_direct ? ", through the page cache" :
		"", caught ? ", from snapshots" : "");
	return caught ? serve_caught_opened(s, i, fd, err) : 0;
}

static int open_drives(struct serve *s, const struct serve_config *c, struct err *err)
{
	if (!c->n_drives || c->n_drives > SERVE_MAX_DRIVES)
		return err_set(err, ERR_USAGE, "1 to %d drives expected, not %u",
			SERVE_MAX_DRIVES, c->n_drives);
	if (c->snapshots && serve_caught_new(s, c, err) < 0)
		return -1;
	for (unsigned i = 0; i < c->n_drives; i++) {
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(s->drives[k].name, c->drives[i].name))
				return err_set(err, ERR_USAGE, "drive %s is given twice",
					s->drives[k].name);
		if (open_drive(s, i, &c->drives[i], err) < 0)
			return -1;
	}
	return 0;
}

static int setup(struct serve *s, const struct serve_config *c, struct err *err)
{
	s->psks = c->psks;
	s->rights = c->rights;
	s->allow_plain = c->allow_plain;
	s->writes = c->state_dir;
	s->hooks = c->hooks.before_freeze || c->hooks.after_thaw;
	s->tls = (struct net_tls_config){ .psks = c->psks, .tls13_only = true };
	if (!c->psks && !c->allow_plain)
		return err_set(err, ERR_USAGE,
			"no pre-shared key, and plain is not allowed");
	if (open_drives(s, c, err) < 0 ||
	    serve_journal_open(c->state_dir, &s->journal, err) < 0)
		return -1;
	for (unsigned i = 0; c->freeze_s && !c->all_blocks && i < s->n_drives; i++)
		if (serve_unused_new(&s->drives[i], err) < 0)
			return -1;
	if (c->freeze_s && serve_freezer_new(s->drives, s->n_drives, c, &s->freezer,
		err) < 0)
		return -1;
	if (s->freezer && c->state_dir)
		log_info("--state-dir: what is mounted from the drives changes when it thaws: a copy "
			"that is interrupted by an end of this program compares it all again");
	if (!s->freezer && (c->hooks.before_freeze || c->hooks.after_thaw))
		log_warn("nothing of these drives is frozen: the programs around it do not run");
	return net_listen(c->host, c->port, &s->listener, err);
}

int serve_start(const struct serve_config *c, struct serve **ret, struct err *err)
{
	struct serve *s = calloc(1, sizeof(*s));

	if (!s)
		return err_set(err, ERR_NOMEM, "source-server: out of memory");
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	serve_limit_init(&s->limit, c->bandwidth);
	if (setup(s, c, err) < 0) {
		serve_free(s);
		return -1;
	}
	*ret = s;
	return 0;
}

void serve_free(struct serve *s)
{
	if (!s)
		return;
	serve_freezer_free(s->freezer);
	net_listen_close(s->listener);
	serve_journal_close(s->journal);
	for (unsigned i = 0; i < s->n_drives; i++)
		serve_drive_close(&s->drives[i]);
	serve_caught_free(s);
	free(s);
}

uint16_t serve_port(const struct serve *s)
{
	return net_listen_port(s->listener);
}

void serve_stop(struct serve *s)
{
	s->stop = true;
	net_listen_stop(s->listener);
}

/* Feeds the thaw watchdog and lets go of what nobody needs any more. */
static void *keeper(void *arg)
{
	static const struct timespec second = { .tv_sec = 1 };
	struct serve *s = arg;

	while (!s->stop) {
		if (s->freezer)
			serve_freezer_tick(s->freezer);
		if (serve_freezer_begin_write(s->freezer)) {
			serve_journal_flush(s->journal);
			serve_freezer_end_write(s->freezer);
		}
		nanosleep(&second, NULL);
	}
	return NULL;
}

int serve_run(struct serve *s, struct err *err)
{
	static const struct timespec pause = { .tv_nsec = 100000000 };
	struct err failed = ERR_INIT;
	struct stream *stream;
	pthread_t thread, watcher;
	bool watched = s->snapper;

	if (pthread_create(&thread, NULL, keeper, s))
		return err_set(err, ERR_NOMEM, "start a thread");
	if (watched && pthread_create(&watcher, NULL, serve_caught_watch, s)) {
		s->stop = true;
		pthread_join(thread, NULL);
		return err_set(err, ERR_NOMEM, "start a thread");
	}
	while (!s->stop) {
		if (net_accept(s->listener, &stream, &failed) == 0) {
			serve_pool_add(s, stream);
		} else if (failed.code != ERR_CANCELLED) {
			log_warn("%s", failed.text);
			/* out of descriptors: some will be free */
			nanosleep(&pause, NULL);
		}
	}
	/* First of all: what else there is to end may take its time. */
	serve_freezer_end(s->freezer);
	pthread_join(thread, NULL);
	if (watched)
		pthread_join(watcher, NULL);
	serve_pool_end(s);
	serve_freezer_free(s->freezer);
	s->freezer = NULL;
	serve_journal_flush(s->journal);
	return 0;
}
