/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net-stream-internal.h"

struct listener {
	int fd;
	int stop; /* eventfd */
	uint16_t port;
};

static int bind_first(const struct addrinfo *list)
{
	int on = 1, sys = 0;

	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);

		if (fd >= 0 &&
			!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
			!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, 64))
			return fd;
		sys = errno;
		if (fd >= 0)
			close(fd);
	}
	errno = sys;
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return 0;
	return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
					      : ((struct sockaddr_in *)&sa)->sin_port);
}

int net_listen(const char *host, uint16_t port, struct listener **ret, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE },
		*list;
	struct listener *l;
	char service[8];
	int n;

	snprintf(service, sizeof(service), "%u", port);
	n = getaddrinfo(host && host[0] ? host : NULL, service, &hints, &list);
	if (n)
		return err_set(err, ERR_NET_DNS, "resolve %s: %s", host, gai_strerror(n));
	l = calloc(1, sizeof(*l));
	if (!l) {
		freeaddrinfo(list);
		return err_set(err, ERR_NOMEM, "listen: out of memory");
	}
	l->fd = bind_first(list);
	freeaddrinfo(list);
	l->stop = l->fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop < 0) {
		err_sys(err, ERR_NET_IO, "listen on %s port %u",
			host && host[0] ? host : "*", port);
		if (l->fd >= 0)
			close(l->fd);
		free(l);
		return -1;
	}
	l->port = port_of(l->fd);
	*ret = l;
	return 0;
}

uint16_t net_listen_port(const struct listener *l)
{
	return l->port;
}

static void peer_name(const struct sockaddr_storage *sa, socklen_t len, char *ret,
	size_t size)
{
	char host[64], service[8];

	if (getnameinfo((const struct sockaddr *)sa, len, host, sizeof(host), service,
		    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(ret, size, "client");
	else
		snprintf(ret, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
			service);
}

int net_accept(struct listener *l, struct stream **ret, struct err *err)
{
	struct pollfd p[2] = { { .fd = l->fd, .events = POLLIN },
		{ .fd = l->stop, .events = POLLIN } };
	struct sockaddr_storage sa;
	socklen_t len;
	char name[96];
	int fd;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(err, ERR_NET_IO, "wait for a connection");
		if (p[1].revents)
			return err_set(err, ERR_CANCELLED, "stopped listening");
		len = sizeof(sa);
		fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);
		if (fd >= 0)
			break;
		/* The peer may be gone again; running out of
		 * descriptors is the caller's. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			return err_sys(err, ERR_NET_IO, "accept a connection");
	}
	net_stream_tune(fd);
	peer_name(&sa, len, name, sizeof(name));
	return net_stream_of_fd(fd, name, ret, err);
}

void net_listen_stop(struct listener *l)
{
	uint64_t one = 1;
	ssize_t n = write(l->stop, &one, sizeof(one));

	(void)n; /* a full counter means it was stopped already */
}

void net_listen_close(struct listener *l)
{
	if (!l)
		return;
	close(l->fd);
	close(l->stop);
	free(l);
}
