/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define STACK_BYTES (256u << 10)

struct worker {
	struct serve *sv;
	struct stream *s;
};

int serve_start(const struct serve_options *opt, struct serve **ret, struct err *err)
{
	struct serve *sv = calloc(1, sizeof(*sv));

	if (!sv)
		return err_set(err, ERR_NOMEM, "out of memory");
	sv->opt = *opt;
	sv->capture.limit_s = opt->freeze_s;
	sv->capture.freezer.fd = -1;
	pthread_mutex_init(&sv->lock, NULL);
	pthread_mutex_init(&sv->capture.lock, NULL);
	pthread_mutex_init(&sv->limit.lock, NULL);
	pthread_cond_init(&sv->changed, NULL);
	serve_limit_set(&sv->limit, opt->bandwidth);
	for (int i = 0; i < opt->n_keys; i++)
		sv->psks[i] = &sv->opt.keys[i];
	for (; sv->n_drives < opt->n_drives; sv->n_drives++)
		if (serve_drive_open(opt->drives[sv->n_drives], (uint16_t)sv->n_drives,
			    &sv->drives[sv->n_drives], err) < 0)
			goto fail;
	if (serve_freezer_start(sv->drives, sv->n_drives, opt->freeze_s, &sv->capture.freezer,
		    err) < 0 ||
		net_listen(opt->host, opt->port, &sv->listener, err) < 0)
		goto fail;
	*ret = sv;
	return 0;
fail:
	serve_close(sv);
	return -1;
}

/* A slot for the connection, or -1 when there are too many. */
static int enter(struct serve *sv, struct stream *s)
{
	int slot = -1;

	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < SERVE_MAX_CONNECTIONS && slot < 0; i++)
		if (!sv->streams[i])
			slot = i;
	if (slot >= 0) {
		sv->streams[slot] = s;
		sv->connections++;
	}
	pthread_mutex_unlock(&sv->lock);
	return slot;
}

static void leave(struct serve *sv, struct stream *s)
{
	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < SERVE_MAX_CONNECTIONS; i++)
		if (sv->streams[i] == s)
			sv->streams[i] = NULL;
	/* Closed under the lock: serve_close may be about to shut it down. */
	net_close(s);
	sv->connections--;
	sv->idle_since_ms = clock_now_ms();
	pthread_cond_broadcast(&sv->changed);
	pthread_mutex_unlock(&sv->lock);
}

static void *conn_main(void *arg)
{
	struct worker w = *(struct worker *)arg;

	free(arg);
	serve_conn(w.sv, w.s);
	leave(w.sv, w.s);
	return NULL;
}

static void take(struct serve *sv, struct stream *s)
{
	struct worker *w = malloc(sizeof(*w));
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (!w || enter(sv, s) < 0) {
		log_warn("%s: refused, there are too many connections", net_name(s));
		net_close(s);
		free(w);
		return;
	}
	*w = (struct worker){ .sv = sv, .s = s };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = pthread_create(&thread, &attr, conn_main, w);
	pthread_attr_destroy(&attr);
	if (r) {
		log_error("%s: no thread: %s", net_name(s), strerror(r));
		free(w);
		leave(sv, s);
	}
}

/* Lets the drives go when nobody has been there for the time to linger. */
static void *housekeeping(void *arg)
{
	struct serve *sv = arg;
	bool idle;

	while (!sv->stop) {
		struct timespec ts = { .tv_sec = 0, .tv_nsec = 200000000 };

		nanosleep(&ts, NULL);
		pthread_mutex_lock(&sv->lock);
		idle = !sv->connections && sv->idle_since_ms &&
			clock_now_ms() - sv->idle_since_ms > sv->opt.linger_s * 1000u;
		pthread_mutex_unlock(&sv->lock);
		if (idle)
			serve_capture_end(&sv->capture, "nobody is connected any more");
	}
	return NULL;
}

int serve_run(struct serve *sv, struct err *err)
{
	pthread_t keeper;
	int r = pthread_create(&keeper, NULL, housekeeping, sv);

	if (r)
		return err_set(err, ERR_NOMEM, "start a thread: %s", strerror(r));
	if (sv->opt.ready)
		sv->opt.ready(sv->opt.ctx, net_listen_port(sv->listener));
	r = 0;
	while (!r) {
		struct stream *s;

		if (!net_accept(sv->listener, &s, err))
			take(sv, s);
		else if (err->code == ERR_CANCELLED)
			break;
		else if (err->sys != EMFILE && err->sys != ENFILE && err->sys != ENOMEM)
			r = -1;
		else
			usleep(100000); /* out of descriptors: some connection will end */
	}
	sv->stop = true;
	pthread_join(keeper, NULL);
	return r;
}

void serve_stop(struct serve *sv)
{
	sv->stop = true;
	net_listen_stop(sv->listener);
}

void serve_close(struct serve *sv)
{
	if (!sv)
		return;
	sv->stop = true;
	pthread_mutex_lock(&sv->lock);
	for (int i = 0; i < SERVE_MAX_CONNECTIONS; i++)
		if (sv->streams[i])
			net_shutdown(sv->streams[i]);
	while (sv->connections)
		pthread_cond_wait(&sv->changed, &sv->lock);
	pthread_mutex_unlock(&sv->lock);
	serve_capture_end(&sv->capture, "the server ends");
	serve_freezer_stop(&sv->capture.freezer);
	net_listen_close(sv->listener);
	while (sv->n_drives > 0)
		serve_drive_close(&sv->drives[--sv->n_drives]);
	for (int i = 0; i < sv->opt.n_keys; i++)
		net_psk_wipe(&sv->opt.keys[i]);
	free(sv);
}
