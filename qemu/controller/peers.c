/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections. Whoever has not shown a token yet is a stranger: these have few places, a
 * new one takes that of the oldest, and each has one time limit for TLS and its first
 * request together, however slowly it sends. So strangers do not keep workers out.
 */
#include "controller.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_STRANGERS 32
#define MAX_OF_ADDRESS 16
#define MAX_OF_WORKER 8
#define GREETING_MS 20000

struct peer {
	struct peer *next; /* the newest first */
	/* Its own: MHD closes a connection before it tells so, and the number may be
	 * another's by then. */
	int fd;
	uint8_t address[16]; /* of IPv6 its network of 64 bits */
	int64_t since_ms, worker; /* row, 0 = a stranger */
	bool ended;
};

static int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void take_address(const struct sockaddr *sa, uint8_t ret[16])
{
	const struct sockaddr_in *v4 = (const void *)sa;
	const struct sockaddr_in6 *v6 = (const void *)sa;

	memset(ret, 0, 16);
	if (sa->sa_family == AF_INET)
		memcpy(ret + 12, &v4->sin_addr, 4);
	else if (sa->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		memcpy(ret + 12, v6->sin6_addr.s6_addr + 12, 4);
	else if (sa->sa_family == AF_INET6)
		memcpy(ret, &v6->sin6_addr, 8);
}

static bool is_stranger(const struct peer *p)
{
	return !p->worker && !p->ended;
}

static unsigned count_strangers(const struct server *s, const uint8_t *address)
{
	unsigned n = 0;

	for (const struct peer *p = s->peers; p; p = p->next)
		n += is_stranger(p) && (!address || !memcmp(p->address, address, 16));
	return n;
}

/* Its thread wakes up, and MHD closes it. */
static void end_peer(struct peer *p)
{
	p->ended = true;
	shutdown(p->fd, SHUT_RDWR);
}

/* Ends the oldest stranger of that address; without one, of the one that has most. */
static void end_oldest(struct server *s, const uint8_t *address)
{
	struct peer *found = NULL;
	unsigned most = 0;

	for (struct peer *p = s->peers; p; p = p->next) {
		unsigned n = is_stranger(p) ? count_strangers(s, p->address) : 0;

		if (!n || n < most || (address && memcmp(p->address, address, 16)))
			continue;
		found = p;
		most = n;
	}
	if (found)
		end_peer(found);
}

static void add_peer(struct server *s, struct MHD_Connection *c, void **context)
{
	const union MHD_ConnectionInfo *fd =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *from =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct peer *p = calloc(1, sizeof(*p));

	if (!p)
		die("out of memory");
	p->fd = fcntl(fd->connect_fd, F_DUPFD_CLOEXEC, 0);
	p->since_ms = monotonic_ms();
	take_address(from->client_addr, p->address);
	pthread_mutex_lock(&s->peers_lock);
	if (count_strangers(s, p->address) >= MAX_OF_ADDRESS)
		end_oldest(s, p->address);
	else if (count_strangers(s, NULL) >= MAX_STRANGERS)
		end_oldest(s, NULL);
	p->next = s->peers;
	s->peers = p;
	pthread_mutex_unlock(&s->peers_lock);
	*context = p;
}

static void remove_peer(struct server *s, struct peer *gone)
{
	pthread_mutex_lock(&s->peers_lock);
	for (struct peer **p = &s->peers; *p; p = &(*p)->next) {
		if (*p != gone)
			continue;
		*p = gone->next;
		break;
	}
	pthread_mutex_unlock(&s->peers_lock);
	if (gone->fd >= 0)
		close(gone->fd);
	free(gone);
}

void peers_notify(void *ctx, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		add_peer(ctx, c, context);
	else if (*context)
		remove_peer(ctx, *context);
}

bool peers_admit(struct server *s, struct MHD_Connection *c, int64_t worker)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct peer *own = info->socket_context;
	unsigned n = 0;

	pthread_mutex_lock(&s->peers_lock);
	for (const struct peer *p = s->peers; p; p = p->next)
		n += p != own && p->worker == worker;
	if (n < MAX_OF_WORKER)
		own->worker = worker;
	pthread_mutex_unlock(&s->peers_lock);
	return n < MAX_OF_WORKER;
}

void peers_check(struct server *s)
{
	int64_t now = monotonic_ms();

	pthread_mutex_lock(&s->peers_lock);
	for (struct peer *p = s->peers; p; p = p->next)
		if (is_stranger(p) && now - p->since_ms >= GREETING_MS)
			end_peer(p);
	pthread_mutex_unlock(&s->peers_lock);
}
