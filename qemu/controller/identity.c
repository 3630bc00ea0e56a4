/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What makes this controller itself: an ECDSA key (P-256) whose hash is the pin that jobs
 * carry, a self-signed certificate around it, and a secret for session tokens. Validity
 * dates mean nothing to workers, whose clocks may be wrong, so the certificate covers
 * this century.
 */
#include "controller.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE "key.pem"
#define CERT_FILE "cert.pem"
#define SECRET_FILE "secret"
#define YEAR_2000 946684800
#define YEAR_2100 4102444800

static void must(int rc, const char *what)
{
	if (rc < 0)
		die("%s: %s", what, gnutls_strerror(rc));
}

void identity_random(void *buf, size_t len)
{
	must(gnutls_rnd(GNUTLS_RND_KEY, buf, len), "random numbers");
}

void identity_hex(const void *buf, size_t len, char *ret)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		sprintf(ret + 2 * i, "%02x", p[i]);
	ret[2 * len] = '\0';
}

void identity_sha256(const void *buf, size_t len, char ret[65])
{
	unsigned char hash[32];

	must(gnutls_hash_fast(GNUTLS_DIG_SHA256, buf, len, hash), "SHA-256");
	identity_hex(hash, sizeof(hash), ret);
}

void identity_session(const struct identity *id, const char *worker_id,
	const char *boot_id, char ret[65])
{
	unsigned char mac[32];
	char text[256];

	snprintf(text, sizeof(text), "session %s %s", worker_id, boot_id);
	must(gnutls_hmac_fast(GNUTLS_MAC_SHA256, id->secret, sizeof(id->secret), text,
		     strlen(text), mac), "HMAC");
	identity_hex(mac, sizeof(mac), ret);
}

/* -1 when there is no such file. */
static int read_file(const char *dir, const char *name, gnutls_datum_t *ret)
{
	char path[1024];
	int rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return -1;
	rc = gnutls_load_file(path, ret);
	if (rc < 0)
		die("%s: %s", path, gnutls_strerror(rc));
	return 0;
}

/* Two processes may start on a fresh state at once: link() lets only one of them win. */
static void write_file(const char *dir, const char *name, const void *data, size_t len)
{
	char path[1024], tmp[1100];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(tmp, sizeof(tmp), "%s.%ld", path, (long)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len || fsync(fd) < 0 ||
	    close(fd) < 0)
		die("%s: %s", tmp, strerror(errno));
	if (link(tmp, path) < 0 && errno != EEXIST)
		die("%s: %s", path, strerror(errno));
	if (unlink(tmp) < 0)
		die("%s: %s", tmp, strerror(errno));
}

static void make_key(const char *dir)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t pem;

	must(gnutls_x509_privkey_init(&key), "key");
	must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
		     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), "key");
	must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), "key");
	write_file(dir, KEY_FILE, pem.data, pem.size);
	gnutls_memset(pem.data, 0, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_privkey_deinit(key);
}

static void make_cert(const char *dir, gnutls_x509_privkey_t key)
{
	static const char name[] = "target-worker controller";
	gnutls_x509_crt_t crt;
	gnutls_datum_t pem;
	unsigned char serial[16];

	identity_random(serial, sizeof(serial));
	serial[0] &= 0x7f;
	must(gnutls_x509_crt_init(&crt), "certificate");
	must(gnutls_x509_crt_set_version(crt, 3), "certificate");
	must(gnutls_x509_crt_set_serial(crt, serial, sizeof(serial)), "certificate");
	must(gnutls_x509_crt_set_activation_time(crt, YEAR_2000), "certificate");
	must(gnutls_x509_crt_set_expiration_time(crt, YEAR_2100), "certificate");
	must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
		     sizeof(name) - 1), "certificate");
	must(gnutls_x509_crt_set_key(crt, key), "certificate");
	must(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), "certificate");
	must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), "certificate");
	write_file(dir, CERT_FILE, pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crt_deinit(crt);
}

/* RFC 7469 section 2.4: base64 of the SHA-256 of the DER SubjectPublicKeyInfo. */
static void make_pin(gnutls_x509_privkey_t key, char ret[64])
{
	gnutls_pubkey_t pub;
	gnutls_privkey_t priv;
	gnutls_datum_t der, text, hash;
	unsigned char digest[32];

	must(gnutls_privkey_init(&priv), "public key");
	must(gnutls_privkey_import_x509(priv, key, 0), "public key");
	must(gnutls_pubkey_init(&pub), "public key");
	must(gnutls_pubkey_import_privkey(pub, priv, 0, 0), "public key");
	must(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &der), "public key");
	must(gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, digest),
		"public key");
	hash.data = digest;
	hash.size = sizeof(digest);
	must(gnutls_base64_encode2(&hash, &text), "public key");
	snprintf(ret, 64, "sha256//%.*s", (int)text.size, text.data);
	gnutls_free(text.data);
	gnutls_free(der.data);
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(priv);
}

static char *text_of(gnutls_datum_t *d)
{
	char *s = strndup((char *)d->data, d->size);

	if (!s)
		die("out of memory");
	gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
	return s;
}

void identity_open(struct identity *id, const char *dir)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t key_pem, cert_pem, secret;

	if (read_file(dir, SECRET_FILE, &secret) < 0) {
		identity_random(id->secret, sizeof(id->secret));
		write_file(dir, SECRET_FILE, id->secret, sizeof(id->secret));
		read_file(dir, SECRET_FILE, &secret);
	}
	if (secret.size != sizeof(id->secret))
		die("%s/%s: has %u bytes, not %zu", dir, SECRET_FILE, secret.size,
			sizeof(id->secret));
	memcpy(id->secret, secret.data, sizeof(id->secret));
	gnutls_free(secret.data);

	if (read_file(dir, KEY_FILE, &key_pem) < 0) {
		make_key(dir);
		read_file(dir, KEY_FILE, &key_pem);
	}
	must(gnutls_x509_privkey_init(&key), "key");
	must(gnutls_x509_privkey_import(key, &key_pem, GNUTLS_X509_FMT_PEM), KEY_FILE);
	if (read_file(dir, CERT_FILE, &cert_pem) < 0) {
		make_cert(dir, key);
		read_file(dir, CERT_FILE, &cert_pem);
	}
	make_pin(key, id->pin);
	gnutls_x509_privkey_deinit(key);
	id->key_pem = text_of(&key_pem);
	id->cert_pem = text_of(&cert_pem);
}

void identity_close(struct identity *id)
{
	gnutls_memset(id->key_pem, 0, strlen(id->key_pem));
	gnutls_memset(id->secret, 0, sizeof(id->secret));
	free(id->key_pem);
	free(id->cert_pem);
}
