/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte streams (TCP, Unix, plain or TLS 1.2/1.3) and the links below them. A stream
 * belongs to one thread at a time; only net_shutdown may be called from another, to wake
 * a blocked call.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

/* stream.c */
struct stream;

/* host: name, IPv4 or IPv6 address without brackets. Tries every address it resolves to.
 * Sets TCP_NODELAY, keepalive and TCP_USER_TIMEOUT 30 s. Errors: NET_DNS, NET_ROUTE,
 * SRC_CONNECT. */
int net_connect(const char *host, uint16_t port, unsigned timeout_ms, struct stream **ret,
	struct err *err);
int net_connect_unix(const char *path, struct stream **ret, struct err *err);
/* Takes the descriptor over, also on failure. name is used in messages. */
int net_stream_of_fd(int fd, const char *name, struct stream **ret, struct err *err);
void net_close(struct stream *s); /* NULL is allowed */
void net_shutdown(struct stream *s); /* from any thread; pending and later calls fail */

/* Limit for each single blocking wait below; 0 = none.
 * Passing it is NET_IO "timed out". */
void net_set_timeout(struct stream *s, unsigned ms);
/* Limit for everything below from now on, however often bytes come; 0 = none.
 * Passing it is NET_IO "timed out", too. From any thread. */
void net_set_deadline(struct stream *s, unsigned ms);
const char *net_name(const struct stream *s); /* "10.0.2.2:5994" */
int net_fd(const struct stream *s); /* for poll; see net_pending */

/* All waits of this thread, net_connect's too, end with CANCELLED soon after *cancel
 * became true; NULL = never. Returns what it was before. */
const _Atomic bool *net_cancelled_by(const _Atomic bool *cancel);
/* Whether they would. */
bool net_is_cancelled(void);
/* For a last word: all waits of this thread together may take so long from now on,
 * whatever cancel says; 0 ends that. */
void net_hurry(unsigned ms);

/* All bytes or -1. End of stream is NET_IO with sys ENODATA. */
int net_read(struct stream *s, void *buf, size_t len, struct err *err);
/* At least one byte, at most len; 0 at the orderly end of the stream. */
int net_read_some(struct stream *s, void *buf, size_t len, size_t *ret_len,
	struct err *err);
int net_write(struct stream *s, const void *buf, size_t len, struct err *err);
int net_writev(struct stream *s, const struct iovec *iov, int n, struct err *err);
/* Bytes are already decrypted or buffered here, so poll on net_fd would not show them. */
bool net_pending(const struct stream *s);
/* Fills ret with the peer's address, or of IPv6 with its network of 64 bits, which one
 * host may have to itself; zeroes for what is no IP connection. */
#define NET_PEER 16
void net_peer(const struct stream *s, uint8_t ret[NET_PEER]);
/* Waits until a read would return something. 1 ready, 0 after timeout_ms, -1 error. */
int net_wait_readable(struct stream *s, unsigned timeout_ms, struct err *err);

/* listen.c */
struct listener;
/* host "" listens on all addresses, of IPv6 and IPv4. */
int net_listen(const char *host, uint16_t port, struct listener **ret, struct err *err);
uint16_t net_listen_port(const struct listener *l); /* the real one when 0 was asked */
/* Waits for a connection; -1 with ERR_CANCELLED after net_listen_stop. */
int net_accept(struct listener *l, struct stream **ret, struct err *err);
void net_listen_stop(struct listener *l); /* async-signal-safe, from any thread */
void net_listen_close(struct listener *l);

/* tls.c */
#define NET_PSK_MAX 64 /* bytes of key */
struct net_psk {
	char identity[128];
	uint8_t key[NET_PSK_MAX];
	size_t key_len;
};
/* "user:hex" as in GnuTLS key files; key of 16 to NET_PSK_MAX bytes.
 * CFG_INVALID otherwise. */
int net_psk_parse(const char *text, struct net_psk *ret, struct err *err);
/* The line of a key file whose identity is `identity`, or its first when NULL. */
int net_psk_load(const char *path, const char *identity, struct net_psk *ret,
	struct err *err);
void net_psk_wipe(struct net_psk *psk);

struct net_tls_config {
	const struct net_psk *psk;       /* PSK with (EC)DHE only */
	const struct net_psk *const *psks; /* server: further accepted keys,
					    * NULL-terminated */
	const char *ca_file;             /* X.509 client: chain and host_name
					  * are checked */
	const char *cert_file, *key_file; /* own certificate */
	const char *host_name;           /* the name the operator gave, or an
					  * address (IP SAN) */
	bool tls13_only;                 /* the drive protocol; NBD servers
					  * may speak 1.2 */
};
#define NET_TLS_MEMORY (256u << 10) /* bytes that a stream with TLS takes, about */
/* The handshake on a fresh stream, in place. A failure closes nothing: call net_close. */
int net_tls_client(struct stream *s, const struct net_tls_config *c, struct err *err);
int net_tls_server(struct stream *s, const struct net_tls_config *c, struct err *err);
/* "TLSv1.3 TLS1-3-AES-256-GCM-SHA384", or NULL on a plain stream. */
const char *net_tls_describe(const struct stream *s);
/* Server: the key of psk or psks that the client has shown; NULL on a plain stream. */
const struct net_psk *net_tls_peer(const struct stream *s);
/* Whether anything of TLS was sent, also by a handshake that failed. */
bool net_tls_sent(const struct stream *s);
/* RFC 5705 exporter; binds session keys to the connection. */
int net_tls_export(struct stream *s, const char *label, void *out, size_t len,
	struct err *err);

/* link.c, dhcp.c: used by job/ in the image,
 * which runs as root without any other manager. */
struct net_link {
	char name[16];     /* "eth0" */
	char mac[18];      /* "52:54:00:12:34:56", lower case */
	char driver[32];   /* "virtio_net" */
	bool carrier;
	char ipv4[20];     /* "10.0.2.15/24" or "" */
	char ipv6[52];     /* global address with prefix, or "" */
};
struct net_config {
	char mac[18];        /* "" = the only link, or the first with a carrier */
	bool dhcp4, slaac6;
	char address4[20];   /* with prefix; "" = none */
	char gateway4[16];
	char address6[52];
	char gateway6[46];
	char dns[4][46];
	unsigned mtu;        /* 0 = leave */
	unsigned timeout_s;  /* for carrier and DHCP; 0 = what net_bring_up is told */
};
/* At most max physical links (no lo). Returns how many there are, -1 on error. */
int net_links(struct net_link *ret, int max, struct err *err);
/* Brings one link up as configured; waits for carrier and DHCP at most timeout_s. */
int net_bring_up(const struct net_config *c, unsigned timeout_s, struct net_link *ret,
	struct err *err);

#endif
