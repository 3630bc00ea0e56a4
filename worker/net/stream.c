/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/net-stream-internal.h"

#define USER_TIMEOUT_MS 30000
#define LOOK_MS 200 /* how often a wait looks for a cancel */

static _Thread_local const _Atomic bool *cancelled_by;
static _Thread_local uint64_t hurry_until;

const _Atomic bool *net_cancelled_by(const _Atomic bool *cancel)
{
	const _Atomic bool *before = cancelled_by;

	cancelled_by = cancel;
	return before;
}

bool net_is_cancelled(void)
{
	return hurry_until ? clock_now_ms() >= hurry_until :
		cancelled_by && atomic_load(cancelled_by);
}

void net_hurry(unsigned ms)
{
	hurry_until = ms ? clock_now_ms() + ms : 0;
}

/* poll(2) of one descriptor; timeout_ms -1 = none. ECANCELED when nobody waits any
 * more. */
static int poll_one(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t end = clock_now_ms() + (unsigned)timeout_ms;

	for (;;) {
		uint64_t now = clock_now_ms();
		int left = timeout_ms < 0 ? INT_MAX : now < end ? (int)(end - now) : 0;
		bool looks = cancelled_by || hurry_until;
		int n = poll(&p, 1, looks && left > LOOK_MS ? LOOK_MS :
			left == INT_MAX ? -1 : left);

		if (n > 0 || (n < 0 && errno != EINTR))
			return n;
		if (looks && net_is_cancelled()) {
			errno = ECANCELED;
			return -1;
		}
		if (timeout_ms >= 0 && clock_now_ms() >= end)
			return 0;
	}
}

int net_stream_of_fd(int fd, const char *name, struct stream **ret, struct err *err)
{
	struct stream *s = calloc(1, sizeof(*s));
	int flags;

	if (!s) {
		close(fd);
		return err_set(err, ERR_NOMEM, "%s: out of memory", name);
	}
	s->fd = fd;
	snprintf(s->name, sizeof(s->name), "%s", name);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		err_sys(err, ERR_NET_IO, "%s: set non-blocking", name);
		net_close(s);
		return -1;
	}
	*ret = s;
	return 0;
}

void net_stream_tune(int fd)
{
	unsigned user_timeout = USER_TIMEOUT_MS;
	int on = 1, idle = 10, interval = 5, count = 4;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
		sizeof(user_timeout));
}

static enum err_code connect_code(int sys)
{
	return sys == ECANCELED ? ERR_CANCELLED :
		sys == ENETUNREACH || sys == EHOSTUNREACH ? ERR_NET_ROUTE :
		ERR_SRC_CONNECT;
}

/* Connects within timeout_ms; the descriptor or -1 with errno. */
static int connect_one(const struct addrinfo *ai, unsigned timeout_ms)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(errno);
	int n, sys = 0;

	if (fd < 0)
		return -1;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		sys = errno;
		if (sys == EINPROGRESS) {
			n = poll_one(fd, POLLOUT, (int)timeout_ms);
			sys = n < 0 ? errno : n ? 0 : ETIMEDOUT;
			if (n > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) < 0)
				sys = errno;
		}
	}
	if (!sys)
		return fd;
	close(fd);
	errno = sys;
	return -1;
}

int net_connect(const char *host, uint16_t port, unsigned timeout_ms, struct stream **ret,
	struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *ai;
	char service[8], name[128];
	int n, fd = -1;

	snprintf(service, sizeof(service), "%u", port);
	snprintf(name, sizeof(name), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	n = getaddrinfo(host, service, &hints, &list);
	if (n)
		return err_set(err, ERR_NET_DNS, "resolve %s: %s", host, gai_strerror(n));
	for (ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = connect_one(ai, timeout_ms ? timeout_ms : 10000);
	if (fd < 0)
		err_sys(err, connect_code(errno), "connect to %s", name);
	freeaddrinfo(list);
	if (fd < 0)
		return -1;
	net_stream_tune(fd);
	return net_stream_of_fd(fd, name, ret, err);
}

int net_connect_unix(const char *path, struct stream **ret, struct err *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(err, ERR_CFG_INVALID, "%s: socket path too long", path);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, ERR_SRC_CONNECT, "socket for %s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		err_sys(err, ERR_SRC_CONNECT, "connect to %s", path);
		close(fd);
		return -1;
	}
	return net_stream_of_fd(fd, path, ret, err);
}

void net_close(struct stream *s)
{
	if (!s)
		return;
	net_tls_free(s, true);
	close(s->fd);
	free(s);
}

void net_shutdown(struct stream *s)
{
	shutdown(s->fd, SHUT_RDWR);
}

void net_set_timeout(struct stream *s, unsigned ms)
{
	s->timeout_ms = ms;
}

void net_set_deadline(struct stream *s, unsigned ms)
{
	s->deadline_ms = ms ? clock_now_ms() + ms : 0;
}

bool net_stream_late(const struct stream *s)
{
	uint64_t end = s->deadline_ms;

	return end && clock_now_ms() >= end;
}

/* The stream's timeout, or what is left to its deadline; -1 = no limit. */
static int time_left(const struct stream *s)
{
	uint64_t now = clock_now_ms(), end = s->deadline_ms, left;

	if (!end)
		return s->timeout_ms ? (int)s->timeout_ms : -1;
	left = now < end ? end - now : 0;
	return (int)(s->timeout_ms && s->timeout_ms < left ? s->timeout_ms : left);
}

void net_peer(const struct stream *s, uint8_t ret[NET_PEER])
{
	struct sockaddr_storage sa;
	const struct sockaddr_in6 *v6 = (const void *)&sa;
	const struct sockaddr_in *v4 = (const void *)&sa;
	socklen_t len = sizeof(sa);

	memset(ret, 0, NET_PEER);
	if (getpeername(s->fd, (struct sockaddr *)&sa, &len) < 0)
		return;
	if (sa.ss_family == AF_INET)
		memcpy(ret + 12, &v4->sin_addr, 4);
	else if (sa.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		memcpy(ret + 12, v6->sin6_addr.s6_addr + 12, 4);
	else if (sa.ss_family == AF_INET6)
		memcpy(ret, &v6->sin6_addr, 8);
}

const char *net_name(const struct stream *s)
{
	return s->name;
}

int net_fd(const struct stream *s)
{
	return s->fd;
}

bool net_pending(const struct stream *s)
{
	return s->rx_at < s->rx_end || (s->tls && net_tls_pending(s->tls));
}

int net_stream_wait(struct stream *s, short events, struct err *err)
{
	int n = poll_one(s->fd, events, time_left(s));

	if (n > 0)
		return 0;
	if (!n)
		errno = ETIMEDOUT;
	return err_sys(err, errno == ECANCELED ? ERR_CANCELLED : ERR_NET_IO, "%s: wait",
		s->name);
}

int net_wait_readable(struct stream *s, unsigned timeout_ms, struct err *err)
{
	int n;

	if (net_pending(s))
		return 1;
	n = poll_one(s->fd, POLLIN, (int)timeout_ms);
	return n < 0 ? err_sys(err, errno == ECANCELED ? ERR_CANCELLED : ERR_NET_IO,
		"%s: wait", s->name) : n > 0;
}

/* At least one byte from the socket; 0 at the end of the stream. */
static int receive(struct stream *s, void *buf, size_t len, size_t *ret_len,
	struct err *err)
{
	ssize_t n;

	while (net_stream_late(s) || (n = recv(s->fd, buf, len, 0)) < 0) {
		if (net_stream_late(s)) {
			errno = ETIMEDOUT;
			return err_sys(err, ERR_NET_IO, "%s: receive", s->name);
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_sys(err, ERR_NET_IO, "%s: receive", s->name);
		if (net_stream_wait(s, POLLIN, err) < 0)
			return -1;
	}
	*ret_len = (size_t)n;
	return 0;
}

int net_read_some(struct stream *s, void *buf, size_t len, size_t *ret_len,
	struct err *err)
{
	size_t n;

	if (s->tls)
		return net_tls_read(s, buf, len, ret_len, err);
	if (s->rx_at == s->rx_end) {
		if (len >= NET_RX)
			return receive(s, buf, len, ret_len, err);
		if (receive(s, s->rx, NET_RX, &n, err) < 0)
			return -1;
		s->rx_at = 0;
		s->rx_end = (uint32_t)n;
	}
	if (len > s->rx_end - s->rx_at)
		len = s->rx_end - s->rx_at;
	memcpy(buf, s->rx + s->rx_at, len);
	s->rx_at += (uint32_t)len;
	*ret_len = len;
	return 0;
}

int net_read(struct stream *s, void *buf, size_t len, struct err *err)
{
	char *p = buf;

	while (len) {
		size_t n;

		if (net_read_some(s, p, len, &n, err) < 0)
			return -1;
		if (!n) {
			errno = ENODATA;
			return err_set_at(err, ERR_NET_IO, ENODATA, __FILE__, __LINE__,
				"%s: the other end closed the connection", s->name);
		}
		p += n;
		len -= n;
	}
	return 0;
}

int net_writev(struct stream *s, const struct iovec *iov, int n, struct err *err)
{
	struct iovec left[16];
	struct msghdr msg = { .msg_iov = left };
	ssize_t done;

	if (s->tls) {
		for (int i = 0; i < n; i++)
			if (net_tls_write(s, iov[i].iov_base, iov[i].iov_len, err) < 0)
				return -1;
		return net_tls_flush(s, err);
	}
	if (n < 0 || (size_t)n > sizeof(left) / sizeof(left[0]))
		return err_set(err, ERR_INTERNAL, "%s: %d pieces to write", s->name, n);
	memcpy(left, iov, (size_t)n * sizeof(*iov));
	msg.msg_iovlen = (size_t)n;
	while (msg.msg_iovlen) {
		done = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno != EAGAIN)
			return err_sys(err, ERR_NET_IO, "%s: send", s->name);
		if (done < 0) {
			if (net_stream_wait(s, POLLOUT, err) < 0)
				return -1;
			continue;
		}
		while (msg.msg_iovlen && (size_t)done >= msg.msg_iov->iov_len) {
			done -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen) {
			msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + done;
			msg.msg_iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

int net_write(struct stream *s, const void *buf, size_t len, struct err *err)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return net_writev(s, &iov, 1, err);
}
