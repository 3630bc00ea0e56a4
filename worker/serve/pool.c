/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections. A thread each from the first byte on, but until a client has greeted (over
 * TLS: with a key) it is a stranger: there are few places for these, and a new one takes
 * the place of the oldest instead of being refused. So whoever fills them holds up nobody
 * who greets within a moment.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define STACK (256u << 10) /* locked in memory while frozen */
#define CROWDED_MS 10000   /* once in so long the log tells */
/* with those that are about to end */
#define MAX_THREADS (SERVE_MAX_CONNECTIONS + 2 * SERVE_MAX_STRANGERS)

static void *run_conn(void *arg)
{
	struct serve_conn *c = arg, **p;
	struct serve *s = c->serve;

	serve_conn_run(c);
	pthread_mutex_lock(&s->lock);
	for (p = &s->conns; *p != c; p = &(*p)->next)
		continue;
	*p = c->next;
	s->n_conns--;
	net_close(c->stream);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	free(c);
	return NULL;
}

static bool is_stranger(const struct serve_conn *c)
{
	return !c->known && !c->evicted;
}

static unsigned count_strangers(const struct serve *s, const uint8_t *peer)
{
	unsigned n = 0;

	for (const struct serve_conn *c = s->conns; c; c = c->next)
		n += is_stranger(c) && (!peer || !memcmp(c->peer, peer, NET_PEER));
	return n;
}

/* The oldest of that address; without one, of the address that has most. */
static struct serve_conn *find_oldest(const struct serve *s, const uint8_t *peer)
{
	struct serve_conn *found = NULL;
	unsigned most = 0;

	for (struct serve_conn *c = s->conns; c; c = c->next) {
		unsigned n = is_stranger(c) ? count_strangers(s, c->peer) : 0;

		if (!n || n < most || (peer && memcmp(c->peer, peer, NET_PEER)))
			continue;
		found = c;
		most = n;
	}
	return found;
}

/* Its thread wakes up and ends. */
static void end_stranger(struct serve_conn *c)
{
	net_set_deadline(c->stream, 1);
	shutdown(net_fd(c->stream), SHUT_RD);
}

static void make_room(struct serve *s, const uint8_t *peer)
{
	struct serve_conn *c = NULL;

	if (count_strangers(s, peer) >= SERVE_MAX_OF_ADDRESS)
		c = find_oldest(s, peer);
	else if (count_strangers(s, NULL) >= SERVE_MAX_STRANGERS)
		c = find_oldest(s, NULL);
	if (!c)
		return;
	if (clock_now_ms() - s->crowded_ms >= CROWDED_MS) {
		s->crowded_ms = clock_now_ms();
		log_warn("%s and others connect and do not greet: the oldest go",
			net_name(c->stream));
	}
	c->evicted = true;
	end_stranger(c);
}

static bool start_thread(struct serve_conn *c)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool started;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	started = !pthread_create(&thread, &attr, run_conn, c);
	pthread_attr_destroy(&attr);
	return started;
}

void serve_pool_add(struct serve *s, struct stream *stream)
{
	struct serve_conn *c = calloc(1, sizeof(*c));
	bool started = false;

	if (c) {
		c->serve = s;
		c->stream = stream;
		net_peer(stream, c->peer);
	}
	pthread_mutex_lock(&s->lock);
	if (c && s->n_conns < MAX_THREADS) {
		make_room(s, c->peer);
		started = start_thread(c);
	}
	if (started) {
		c->next = s->conns;
		s->conns = c;
		s->n_conns++;
	}
	pthread_mutex_unlock(&s->lock);
	if (!started) {
		log_warn("%s: refused, too many connections", net_name(stream));
		net_close(stream);
		free(c);
	}
}

bool serve_pool_admit(struct serve_conn *c)
{
	struct serve *s = c->serve;
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	for (const struct serve_conn *o = s->conns; o; o = o->next)
		n += o->known;
	c->known = n < SERVE_MAX_CONNECTIONS && !c->evicted;
	pthread_mutex_unlock(&s->lock);
	return c->known;
}

void serve_pool_end(struct serve *s)
{
	pthread_mutex_lock(&s->lock);
	for (struct serve_conn *c = s->conns; c; c = c->next) {
		if (c->known)
			shutdown(net_fd(c->stream), SHUT_RD);
		else
			end_stranger(c);
	}
	while (s->n_conns)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}
