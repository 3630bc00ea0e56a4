/* SPDX-License-Identifier: Apache-2.0 */
/* What a TLS session is allowed: versions, suites, keys and certificates. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>

#include "net/net-stream-internal.h"
#include "net/net-tls-internal.h"

const char *net_tls_text(int code, char *buf, size_t size)
{
	if (code <= -0x10000)
		snprintf(buf, size, "%s", err_text(-(code + 0x10000)));
	else if (code == MBEDTLS_ERR_SSL_CONN_EOF)
		snprintf(buf, size, "the other end closed the connection");
	else
		mbedtls_strerror(code, buf, size);
	return buf;
}

/* Server: finds the key of the identity that the client sent. */
static int find_psk(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *id,
	size_t len)
{
	const struct net_tls_config *c = ctx;
	const struct net_psk *const *more = c->psks;
	const struct net_psk *k = c->psk ? c->psk : more ? *more++ : NULL;
	struct net_tls *t = mbedtls_ssl_get_user_data_p(ssl);

	for (; k; k = more ? *more++ : NULL) {
		if (strlen(k->identity) != len || memcmp(k->identity, id, len))
			continue;
		t->peer = k;
		return mbedtls_ssl_set_hs_psk(ssl, k->key, k->key_len);
	}
	return MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY;
}

static int load_certificates(struct net_tls *t, const struct net_tls_config *c,
	struct err *err)
{
	char text[160];
	const char *file = c->ca_file;
	int r = 0;

	if (c->ca_file) {
		r = mbedtls_x509_crt_parse_file(&t->ca, c->ca_file);
		mbedtls_ssl_conf_ca_chain(&t->conf, &t->ca, NULL);
	}
	if (!r && c->cert_file) {
		file = c->cert_file;
		r = mbedtls_x509_crt_parse_file(&t->cert, c->cert_file);
	}
	if (!r && c->cert_file && c->key_file) {
		file = c->key_file;
		r = mbedtls_pk_parse_keyfile(&t->key, c->key_file, NULL,
			mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
		if (!r)
			r = mbedtls_ssl_conf_own_cert(&t->conf, &t->cert, &t->key);
	}
	if (!r)
		return 0;
	if (r > 0) /* so many certificates of the file were not understood */
		return err_set(err, ERR_CFG_INVALID, "%s: %d certificates not understood",
			file, r);
	return err_set(err, ERR_CFG_INVALID, "%s: %s", file,
		net_tls_text(r, text, sizeof(text)));
}

int net_tls_configure(struct net_tls *t, const struct net_tls_config *c, bool server,
	struct err *err)
{
	bool psk = c->psk || c->psks;
	int r = mbedtls_ssl_config_defaults(&t->conf,
		server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
		MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);

	if (r)
		return err_set(err, ERR_INTERNAL, "TLS set-up failed (%#x)",
			(unsigned)-r);
	mbedtls_ssl_conf_rng(&t->conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
	mbedtls_ssl_conf_min_tls_version(&t->conf,
		c->tls13_only ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_ciphersuites(&t->conf, net_tls_suites(psk));
	mbedtls_ssl_conf_tls13_key_exchange_modes(&t->conf,
		psk ? MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL
		    : MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
	mbedtls_ssl_conf_authmode(&t->conf,
		server || psk ? MBEDTLS_SSL_VERIFY_NONE : MBEDTLS_SSL_VERIFY_REQUIRED);
	if (server && psk)
		mbedtls_ssl_conf_psk_cb(&t->conf, find_psk, (void *)(uintptr_t)c);
	else if (psk)
		r = mbedtls_ssl_conf_psk(&t->conf, c->psk->key, c->psk->key_len,
			(const unsigned char *)c->psk->identity,
			strlen(c->psk->identity));
	if (r)
		return err_set(err, ERR_INTERNAL, "TLS key set-up failed (%#x)",
			(unsigned)-r);
	return load_certificates(t, c, err);
}
