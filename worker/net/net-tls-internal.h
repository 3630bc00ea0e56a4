/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS session; of tls.c and tls-config.c alone, which know mbedTLS. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>

#include "net/net.h"

/* mbedTLS asks for 5 bytes and then for a record of 16 KiB, and sends each record by
 * itself: with these one system call does for several. */
#define RX_SIZE (128u << 10)
#define TX_SIZE (64u << 10)
#define RX_HANDSHAKE (4u << 10)

struct net_tls {
	mbedtls_ssl_context ssl;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt ca, cert;
	mbedtls_pk_context key;
	bool established;
	const struct net_psk *peer; /* server: the key that the client named */
	uint8_t first[8];     /* first bytes received */
	size_t n_first;
	char describe[96];
	size_t rx_at, rx_end; /* received and not yet taken */
	size_t tx_at, tx_end; /* not yet sent */
	uint8_t rx[RX_SIZE], tx[TX_SIZE];
};

/* Sets up t->conf. */
int net_tls_configure(struct net_tls *t, const struct net_tls_config *c, bool server,
	struct err *err);
/* An error of mbedTLS, or -errno - 0x10000, in words. */
const char *net_tls_text(int code, char *buf, size_t size);

#endif
