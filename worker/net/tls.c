/* SPDX-License-Identifier: Apache-2.0 */
/* TLS through mbedTLS. Keys are only ever exchanged with (EC)DHE, so that a key that
 * leaks later does not open what was recorded before. */
#include "net/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <mbedtls/ssl.h>
#include <psa/crypto.h>

#include "net/net-stream-internal.h"
#include "net/net-tls-internal.h"

/* Bytes of a server that speaks first, or answers in clear. */
static void note_first(struct net_tls *t, const uint8_t *buf, size_t len)
{
	while (t->n_first < sizeof(t->first) && len--)
		t->first[t->n_first++] = *buf++;
}

/* What waits to be sent. 0, or an error of mbedTLS;
 * WANT_WRITE when the socket takes no more. */
static int flush(struct stream *s)
{
	struct net_tls *t = s->tls;

	while (t->tx_at < t->tx_end) {
		ssize_t n = send(s->fd, t->tx + t->tx_at, t->tx_end - t->tx_at,
			MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ||
				errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
								  : -errno - 0x10000;
		t->tx_at += (size_t)n;
		s->tls_sent = true;
	}
	t->tx_at = t->tx_end = 0;
	return 0;
}

static int bio_send(void *ctx, const unsigned char *buf, size_t len)
{
	struct stream *s = ctx;
	struct net_tls *t = s->tls;
	int r;

	if (t->tx_end == TX_SIZE && (r = flush(s)))
		return r;
	if (len > TX_SIZE - t->tx_end)
		len = TX_SIZE - t->tx_end;
	memcpy(t->tx + t->tx_end, buf, len);
	t->tx_end += len;
	return (int)len;
}

/* Only when there is nothing left of the last one. */
static int fill(struct stream *s)
{
	struct net_tls *t = s->tls;
	ssize_t n;

	if (net_stream_late(s))
		return -ETIMEDOUT - 0x10000;
	/* A peer that has not shown a key yet cannot fill all of it. */
	n = recv(s->fd, t->rx, t->established ? RX_SIZE : RX_HANDSHAKE, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ
							  : -errno - 0x10000;
	if (!n)
		return MBEDTLS_ERR_SSL_CONN_EOF;
	if (!t->established)
		note_first(t, t->rx, (size_t)n);
	t->rx_at = 0;
	t->rx_end = (size_t)n;
	return 0;
}

static int bio_recv(void *ctx, unsigned char *buf, size_t len)
{
	struct stream *s = ctx;
	struct net_tls *t = s->tls;
	int r;

	/* The peer may be waiting for it. */
	if (t->tx_end && (r = flush(s)))
		return r;
	if (t->rx_at == t->rx_end && (r = fill(s)))
		return r;
	if (len > t->rx_end - t->rx_at)
		len = t->rx_end - t->rx_at;
	memcpy(buf, t->rx + t->rx_at, len);
	t->rx_at += len;
	return (int)len;
}

/* After WANT_READ or WANT_WRITE: waits. 0 go on, -1 failed. */
static int want(struct stream *s, int code, struct err *err)
{
	return net_stream_wait(s,
		code == MBEDTLS_ERR_SSL_WANT_WRITE ? POLLOUT : POLLIN, err);
}

static bool wants(int code)
{
	return code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE;
}

static int io_error(struct stream *s, const char *what, int code, struct err *err)
{
	char text[160];
	int sys = code <= -0x10000 ? -(code + 0x10000) : 0;

	err_set(err, sys || code == MBEDTLS_ERR_SSL_CONN_EOF ? ERR_NET_IO : ERR_SRC_TLS,
		"%s: %s: %s", s->name, what, net_tls_text(code, text, sizeof(text)));
	err->sys = code == MBEDTLS_ERR_SSL_CONN_EOF ? ENODATA : sys;
	return -1;
}

int net_tls_read(struct stream *s, void *buf, size_t len, size_t *ret_len,
	struct err *err)
{
	int n;

	for (;;) {
		n = mbedtls_ssl_read(&s->tls->ssl, buf, len);
		if (n > 0 || n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
			*ret_len = n > 0 ? (size_t)n : 0;
			return 0;
		}
		if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
			continue; /* GnuTLS and OpenSSL servers send them;
				   * nothing is resumed */
		if (!wants(n))
			return io_error(s, "receive",
				n ? n : MBEDTLS_ERR_SSL_CONN_EOF, err);
		if (want(s, n, err) < 0)
			return -1;
	}
}

int net_tls_write(struct stream *s, const void *buf, size_t len, struct err *err)
{
	const unsigned char *p = buf;

	while (len) {
		int n = mbedtls_ssl_write(&s->tls->ssl, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (!wants(n)) {
			return io_error(s, "send", n, err);
		} else if (want(s, n, err) < 0) {
			return -1;
		}
	}
	return 0;
}

int net_tls_flush(struct stream *s, struct err *err)
{
	int r;

	while ((r = flush(s))) {
		if (!wants(r))
			return io_error(s, "send", r, err);
		if (want(s, r, err) < 0)
			return -1;
	}
	return 0;
}

bool net_tls_pending(const struct net_tls *t)
{
	return t->rx_at < t->rx_end || mbedtls_ssl_check_pending(&t->ssl);
}

void net_tls_free(struct stream *s, bool say_bye)
{
	struct net_tls *t = s->tls;

	if (!t)
		return;
	if (say_bye && t->established && !mbedtls_ssl_close_notify(&t->ssl))
		flush(s); /* best effort, never waits */
	mbedtls_ssl_free(&t->ssl);
	mbedtls_ssl_config_free(&t->conf);
	mbedtls_x509_crt_free(&t->ca);
	mbedtls_x509_crt_free(&t->cert);
	mbedtls_pk_free(&t->key);
	free(t);
	s->tls = NULL;
}

static int wrong_certificate(struct stream *s, struct err *err)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(&s->tls->ssl);
	char text[256];
	int n = mbedtls_x509_crt_verify_info(text, sizeof(text), "", flags);

	for (int i = 0; i < n; i++)
		if (text[i] == '\n')
			text[i] = i + 1 < n ? ' ' : '\0';
	return err_set(err, ERR_SRC_PIN, "%s: certificate refused: %s", s->name,
		n > 0 ? text : "not valid");
}

/* Names what stands at the other end when it does not speak TLS. */
static int diagnose(struct stream *s, bool server, bool psk, int code, struct err *err)
{
	struct net_tls *t = s->tls;
	uint8_t more[8];
	char text[160];
	ssize_t n;

	flush(s); /* the alert that tells the peer; it may be gone */
	/* mbedTLS stops after the 5 bytes of a record header that is none. */
	n = recv(s->fd, more, sizeof(more), MSG_DONTWAIT);
	if (n > 0)
		note_first(t, more, (size_t)n);
	if (t->n_first == 8 && !memcmp(t->first, "NBDMAGIC", 8))
		return err_set(err, ERR_SRC_IS_NBD,
			"%s: an NBD server answered, in clear", s->name);
	/* Servers that take a TLS hello for HTTP/0.9 answer with the page alone. */
	if (t->n_first >= 5 &&
				       (!memcmp(t->first, "HTTP/", 5) ||
					       !memcmp(t->first, "<!DOC", 5) ||
					       !memcmp(t->first, "<html", 5)))
		return err_set(err, ERR_SRC_IS_HTTP, "%s: an HTTP server answered",
			s->name);
	if (t->n_first >= 4 && !memcmp(t->first, "TWP1", 4))
		return err_set(err, ERR_SRC_EOF,
			"%s: a source-server has too many connections just now", s->name);
	if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
		return wrong_certificate(s, err);
	net_tls_text(code, text, sizeof(text));
	if (psk && (server ? code == MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY ||
				code == MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE
			   : code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE))
		return err_set(err, ERR_SRC_AUTH, "%s: the pre-shared key was refused",
			s->name);
	if (code <= -0x10000 || (code == MBEDTLS_ERR_SSL_CONN_EOF && !t->n_first)) {
		err_set(err, ERR_SRC_TLS, "%s: no TLS answer: %s", s->name, text);
		err->sys = code <= -0x10000 ? -(code + 0x10000) : ENODATA;
		return -1;
	}
	err_set(err, ERR_SRC_TLS, "%s: TLS handshake: %s", s->name, text);
	if (code == MBEDTLS_ERR_SSL_CONN_EOF)
		err->sys = ENODATA; /* cut off, not refused */
	return -1;
}

static int handshake(struct stream *s, const struct net_tls_config *c, bool server,
	struct err *err)
{
	struct net_tls *t = s->tls;
	int r = mbedtls_ssl_setup(&t->ssl, &t->conf);

	if (!r && !server)
		r = mbedtls_ssl_set_hostname(&t->ssl, c->host_name);
	if (r)
		return err_set(err, ERR_NOMEM, "%s: TLS set-up failed (%#x)", s->name,
			(unsigned)-r);
	mbedtls_ssl_set_user_data_p(&t->ssl, t);
	mbedtls_ssl_set_bio(&t->ssl, s, bio_send, bio_recv, NULL);
	while ((r = mbedtls_ssl_handshake(&t->ssl))) {
		if (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
			continue;
		if (!wants(r))
			return diagnose(s, server, c->psk || c->psks, r, err);
		if (want(s, r, err) < 0)
			return err_wrap(err, "TLS handshake");
	}
	if (net_tls_flush(s, err) < 0)
		return err_wrap(err, "TLS handshake");
	snprintf(t->describe, sizeof(t->describe), "%s %s",
		mbedtls_ssl_get_version(&t->ssl), mbedtls_ssl_get_ciphersuite(&t->ssl));
	t->established = true;
	return 0;
}

static int start(struct stream *s, const struct net_tls_config *c, bool server,
	struct err *err)
{
	struct net_tls *t;

	/* Bytes in front of the handshake are not what TLS protects. */
	if (s->rx_at < s->rx_end)
		return err_set(err, ERR_SRC_TLS, "%s: data in front of the TLS handshake",
			s->name);
	if (psa_crypto_init() != PSA_SUCCESS)
		return err_set(err, ERR_INTERNAL, "no random numbers for TLS");
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ERR_NOMEM, "%s: TLS: out of memory", s->name);
	mbedtls_ssl_init(&t->ssl);
	mbedtls_ssl_config_init(&t->conf);
	mbedtls_x509_crt_init(&t->ca);
	mbedtls_x509_crt_init(&t->cert);
	mbedtls_pk_init(&t->key);
	s->tls = t;
	if (net_tls_configure(t, c, server, err) < 0 ||
	    handshake(s, c, server, err) < 0) {
		net_tls_free(s, false);
		return -1;
	}
	return 0;
}

int net_tls_client(struct stream *s, const struct net_tls_config *c, struct err *err)
{
	return start(s, c, false, err);
}

int net_tls_server(struct stream *s, const struct net_tls_config *c, struct err *err)
{
	return start(s, c, true, err);
}

const struct net_psk *net_tls_peer(const struct stream *s)
{
	return s->tls && s->tls->established ? s->tls->peer : NULL;
}

bool net_tls_sent(const struct stream *s)
{
	return s->tls_sent;
}

const char *net_tls_describe(const struct stream *s)
{
	return s->tls ? s->tls->describe : NULL;
}
