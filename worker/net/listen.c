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

/* IPv6 sockets take IPv4, too, whatever net.ipv6.bindv6only says. */
static int bind_one(int fd, const struct addrinfo *ai)
{
	int on = 1, off = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
		return -1;
	if (ai->ai_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0)
		return -1;
	return bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 64) < 0 ? -1 : 0;
}

static int bind_first(const struct addrinfo *list)
{
	int sys = 0;

	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);

		if (!bind_one(fd, ai))
			return fd;
		sys = errno;
		if (fd >= 0)
			close(fd);
	}
	errno = sys;
	return -1;
}

/* All addresses: one socket of IPv6 takes both; of IPv4 where the kernel has no IPv6. */
static int bind_all(uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const struct addrinfo both = { .ai_family = AF_INET6, .ai_addr = (void *)&v6,
		.ai_addrlen = sizeof(v6) };
	const struct addrinfo old = { .ai_family = AF_INET, .ai_addr = (void *)&v4,
		.ai_addrlen = sizeof(v4) };
	int fd = bind_first(&both);

	return fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL) ? fd :
		bind_first(&old);
}

static int bind_host(const char *host, uint16_t port, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	struct addrinfo *list;
	char service[8];
	int n, fd;

	if (!host || !host[0]) {
		fd = bind_all(port);
	} else {
		snprintf(service, sizeof(service), "%u", port);
		n = getaddrinfo(host, service, &hints, &list);
		if (n)
			return err_set(err, ERR_NET_DNS, "resolve %s: %s", host,
				gai_strerror(n));
		fd = bind_first(list);
		freeaddrinfo(list);
	}
	return fd >= 0 ? fd : err_sys(err, ERR_NET_IO, "listen on %s port %u",
		host && host[0] ? host : "*", port);
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
	struct listener *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(err, ERR_NOMEM, "listen: out of memory");
	l->fd = bind_host(host, port, err);
	if (l->fd < 0) {
		free(l);
		return -1;
	}
	l->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop < 0) {
		err_sys(err, ERR_NET_IO, "listen");
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
	const char *mapped = "::ffff:";

	if (getnameinfo((const struct sockaddr *)sa, len, host, sizeof(host), service,
		    sizeof(service), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(ret, size, "client");
	else if (!strncmp(host, mapped, strlen(mapped)) && strchr(host, '.'))
		snprintf(ret, size, "%s:%s", host + strlen(mapped), service);
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
