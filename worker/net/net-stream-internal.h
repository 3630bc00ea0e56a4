/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_STREAM_INTERNAL_H
#define NET_STREAM_INTERNAL_H

#include "net/net.h"

struct net_tls; /* tls.c */

/* A protocol reads its headers in a few small steps: what comes behind them is kept, so
 * that one system call does. Larger reads go past it, into the caller's memory. */
#define NET_RX 2048

struct stream {
	int fd;
	unsigned timeout_ms;
	_Atomic uint64_t deadline_ms; /* of clock_now_ms; 0 = none */
	bool tls_sent;
	char name[128];
	struct net_tls *tls;
	uint32_t rx_at, rx_end; /* received and not yet taken, without TLS */
	uint8_t rx[NET_RX];
};

/* stream.c */
/* TCP_NODELAY, and a dead peer is noticed within 30 s. Options that only help are not
 * checked: a Unix socket has none of them. */
void net_stream_tune(int fd);
/* Waits for POLLIN or POLLOUT within the stream's timeout; -1 with NET_IO. */
int net_stream_wait(struct stream *s, short events, struct err *err);
/* Whether the stream's deadline has passed: a peer that sends all the time is never
 * waited for. */
bool net_stream_late(const struct stream *s);

/* suites.c: ends with 0, fastest first on this machine */
const int *net_tls_suites(bool psk);

/* tls.c: as net_read_some and net_write_some of the layer below. What is written waits
 * for net_tls_flush, or until there is enough of it. */
int net_tls_read(struct stream *s, void *buf, size_t len, size_t *ret_len,
	struct err *err);
int net_tls_write(struct stream *s, const void *buf, size_t len, struct err *err);
int net_tls_flush(struct stream *s, struct err *err);
bool net_tls_pending(const struct net_tls *t);
void net_tls_free(struct stream *s, bool say_bye);

#endif
