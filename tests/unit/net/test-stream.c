/* SPDX-License-Identifier: Apache-2.0 */
/* Real sockets on the loopback address, real TLS: one thread serves,
 * the test is the client. */
#include "net/net.h"
#include "net/net-stream-internal.h"

#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mbedtls/ssl.h>

#include "../test.h"

#define BIG (3u << 20)

struct server {
	struct listener *l;
	const struct net_tls_config *tls; /* NULL = plain */
	const char *greeting;             /* sent at once instead of an echo */
	pthread_t thread;
	struct err err;
};

/* Echoes one length-prefixed message. */
static void *serve(void *arg)
{
	struct server *sv = arg;
	struct stream *s = NULL;
	uint32_t len;
	char *buf = NULL;

	if (net_accept(sv->l, &s, &sv->err) < 0)
		return NULL;
	net_set_timeout(s, 60000);
	if (sv->greeting) {
		net_write(s, sv->greeting, strlen(sv->greeting), &sv->err);
	} else if (!sv->tls || !net_tls_server(s, sv->tls, &sv->err)) {
		if (!net_read(s, &len, 4, &sv->err) && len <= BIG &&
			(buf = malloc(len)) && !net_read(s, buf, len, &sv->err))
			net_write(s, buf, len, &sv->err);
	}
	free(buf);
	net_close(s);
	return NULL;
}

static int begin(struct server *sv, struct stream **s)
{
	struct err err = ERR_INIT;

	if (net_listen("127.0.0.1", 0, &sv->l, &err) < 0)
		return -1;
	if (pthread_create(&sv->thread, NULL, serve, sv))
		return -1;
	if (net_connect("127.0.0.1", net_listen_port(sv->l), 5000, s, &err) < 0)
		return -1;
	net_set_timeout(*s, 60000);
	return 0;
}

static void end(struct server *sv, struct stream *s)
{
	net_close(s);
	pthread_join(sv->thread, NULL);
	net_listen_close(sv->l);
}

static void echo(struct stream *s, uint32_t len)
{
	uint8_t *out = malloc(len), *in = calloc(1, len);
	struct err err = ERR_INIT;
	struct iovec iov[2] = { { &len, 4 }, { out, len } };

	for (uint32_t i = 0; i < len; i++)
		out[i] = (uint8_t)(i * 7 + (i >> 9));
	CHECK(!net_writev(s, iov, 2, &err));
	CHECK(!net_read(s, in, len, &err));
	CHECK(!memcmp(in, out, len));
	CHECK(net_read(s, in, 1, &err) == -1);
	CHECK_U64(err.code, ERR_NET_IO);
	CHECK_U64(err.sys, ENODATA);
	free(in);
	free(out);
}

static const char good_key[] =
	"job-1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

TEST(plain_echo)
{
	struct server sv = { .err = ERR_INIT };
	struct stream *s;

	REQUIRE(!begin(&sv, &s));
	echo(s, 1 << 20);
	CHECK(!net_tls_describe(s));
	end(&sv, s);
}

/* Steps of sizes around that of the buffer behind small reads: nothing is lost, doubled
 * or left unseen by a wait. */
TEST(small_reads)
{
	static const size_t steps[] = { 1, 3, NET_RX - 1, 16, NET_RX, 2, NET_RX + 1,
		5 * NET_RX, 7 };
	uint8_t out[12 * NET_RX], in[sizeof(out)];
	struct err err = ERR_INIT;
	struct stream *s = NULL;
	size_t at = 0, n;
	int fd[2];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 11 + (i >> 8));
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	REQUIRE(!net_stream_of_fd(fd[0], "pair", &s, &err));
	CHECK(!net_wait_readable(s, 0, &err));
	REQUIRE(write(fd[1], out, sizeof(out)) == sizeof(out));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); at += steps[i++]) {
		CHECK(net_wait_readable(s, 0, &err) == 1);
		REQUIRE(!net_read(s, in + at, steps[i], &err));
	}
	while (at < sizeof(out)) {
		CHECK(net_wait_readable(s, 0, &err) == 1);
		REQUIRE(!net_read_some(s, in + at, 9, &n, &err) && n && n <= 9);
		at += n;
	}
	CHECK(at == sizeof(out) && !memcmp(in, out, sizeof(out)));
	CHECK(!net_pending(s) && !net_wait_readable(s, 0, &err));
	close(fd[1]);
	CHECK(!net_read_some(s, in, 1, &n, &err) && !n);
	net_close(s);
}

/* What came in clear and is buffered must not look as if TLS had protected it. */
TEST(data_before_tls)
{
	struct net_psk psk;
	struct net_tls_config c = { .psk = &psk, .tls13_only = true };
	struct err err = ERR_INIT;
	struct stream *s = NULL;
	uint8_t byte;
	int fd[2];

	REQUIRE(!net_psk_parse(good_key, &psk, &err));
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	REQUIRE(!net_stream_of_fd(fd[0], "pair", &s, &err));
	REQUIRE(write(fd[1], "ab", 2) == 2);
	REQUIRE(!net_read(s, &byte, 1, &err));
	CHECK(net_tls_client(s, &c, &err) == -1);
	CHECK_U64(err.code, ERR_SRC_TLS);
	net_close(s);
	close(fd[1]);
}

TEST(tls_psk_echo)
{
	struct net_psk psk;
	struct err err = ERR_INIT;
	struct net_tls_config c = { .psk = &psk, .tls13_only = true };
	struct server sv = { .tls = &c, .err = ERR_INIT };
	struct stream *s;

	REQUIRE(!net_psk_parse(good_key, &psk, &err));
	REQUIRE(!begin(&sv, &s));
	if (CHECK(!net_tls_client(s, &c, &err))) {
		CHECK(strstr(net_tls_describe(s), "TLSv1.3"));
		/* Two of ours take what is fastest here. */
		CHECK(strstr(net_tls_describe(s),
			mbedtls_ssl_get_ciphersuite_name(net_tls_suites(true)[0])));
		echo(s, BIG);
	} else {
		printf("%s\n", err.text);
	}
	end(&sv, s);
}

/* The client's error when its key is `client` and the server's is good_key. */
static enum err_code refused(const char *client)
{
	struct net_psk good, psk;
	struct err err = ERR_INIT;
	struct net_tls_config c = { .psk = &psk, .tls13_only = true };
	struct net_tls_config sc = { .psk = &good, .tls13_only = true };
	struct server sv = { .tls = &sc, .err = ERR_INIT };
	struct stream *s;

	if (net_psk_parse(good_key, &good, &err) || net_psk_parse(client, &psk, &err) ||
		begin(&sv, &s))
		return ERR_INTERNAL;
	CHECK(net_tls_client(s, &c, &err) == -1);
	end(&sv, s);
	CHECK(sv.err.code != ERR_NONE);
	printf("client: %s / server: %s\n", err.text, sv.err.text);
	return err.code;
}

TEST(tls_wrong_key)
{
	CHECK_U64(refused("job-1:ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
		ERR_SRC_AUTH);
	CHECK_U64(refused("job-2:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
		ERR_SRC_AUTH);
}

static enum err_code greeted(const char *greeting)
{
	struct net_psk psk;
	struct err err = ERR_INIT;
	struct net_tls_config c = { .psk = &psk, .tls13_only = true };
	struct server sv = { .greeting = greeting, .err = ERR_INIT };
	struct stream *s;

	if (net_psk_parse(good_key, &psk, &err) || begin(&sv, &s))
		return ERR_INTERNAL;
	CHECK(net_tls_client(s, &c, &err) == -1);
	end(&sv, s);
	return err.code;
}

TEST(no_tls_there)
{
	CHECK_U64(greeted("NBDMAGICIHAVEOPT"), ERR_SRC_IS_NBD);
	CHECK_U64(greeted("HTTP/1.1 400 Bad Request\r\n\r\n"), ERR_SRC_IS_HTTP);
	CHECK_U64(greeted("220 mail.example.org ESMTP\r\n"), ERR_SRC_TLS);
	CHECK_U64(greeted(""), ERR_SRC_TLS);
}

TEST(nobody_listens)
{
	struct listener *l;
	struct err err = ERR_INIT;
	struct stream *s;
	uint16_t port;

	REQUIRE(!net_listen("127.0.0.1", 0, &l, &err));
	port = net_listen_port(l);
	net_listen_close(l);
	CHECK(net_connect("127.0.0.1", port, 1000, &s, &err) == -1);
	CHECK_U64(err.code, ERR_SRC_CONNECT);
	CHECK(net_connect("no-such-host.invalid", 1, 1000, &s, &err) == -1);
	CHECK_U64(err.code, ERR_NET_DNS);
}

TEST(read_times_out)
{
	int fds[2];
	struct stream *s;
	struct err err = ERR_INIT;
	char c;

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	REQUIRE(!net_stream_of_fd(fds[0], "pair", &s, &err));
	net_set_timeout(s, 50);
	CHECK(net_read(s, &c, 1, &err) == -1);
	CHECK_U64(err.sys, ETIMEDOUT);
	CHECK_U64((unsigned)net_wait_readable(s, 10, &err), 0);
	CHECK(write(fds[1], "x", 1) == 1);
	CHECK_U64((unsigned)net_wait_readable(s, 60000, &err), 1);
	net_close(s);
	close(fds[1]);
}

/* A byte now and then, and then as fast as it goes. */
static void *drip(void *arg)
{
	const int *fd = arg;

	for (unsigned i = 0; i < 100; i++) {
		if (send(*fd, "x", 1, MSG_NOSIGNAL) != 1)
			return NULL;
		usleep(10000);
	}
	while (send(*fd, "xxxxxxxx", 8, MSG_NOSIGNAL) > 0)
		continue;
	return NULL;
}

TEST(deadline)
{
	static char much[2 * NET_RX];
	struct err err = ERR_INIT;
	struct stream *s;
	pthread_t thread;
	int fds[2];

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	REQUIRE(!net_stream_of_fd(fds[0], "pair", &s, &err));
	net_set_deadline(s, 50); /* nothing comes, and waits have no other limit */
	alarm(100);              /* which would be for ever */
	CHECK(net_read(s, much, 1, &err) == -1);
	alarm(0);
	CHECK_U64(err.sys, ETIMEDOUT);
	REQUIRE(!pthread_create(&thread, NULL, drip, &fds[1]));
	net_set_timeout(s, 60000); /* each wait is short */
	net_set_deadline(s, 300);
	CHECK(net_read(s, much, 1000, &err) == -1);
	CHECK_U64(err.sys, ETIMEDOUT);
	net_set_deadline(s, 0);
	CHECK(!net_read(s, much, 200, &err));
	/* also where nothing is waited for, as it has come already */
	while (recv(fds[0], much, NET_RX, MSG_PEEK) < NET_RX)
		usleep(1000);
	net_set_deadline(s, 1);
	usleep(10000);
	err_clear(&err);
	CHECK(net_read(s, much, NET_RX, &err) == -1);
	CHECK_U64(err.sys, ETIMEDOUT);
	net_close(s);
	pthread_join(thread, NULL);
	close(fds[1]);
}

static bool reaches(const char *host, struct listener *l, const char *name)
{
	struct stream *there = NULL, *here = NULL;
	struct err err = ERR_INIT;
	bool r = !net_connect(host, net_listen_port(l), 5000, &there, &err) &&
		!net_accept(l, &here, &err) && !strncmp(net_name(here), name,
			strlen(name));

	net_close(there);
	net_close(here);
	return r;
}

TEST(all_addresses)
{
	struct listener *l;
	struct err err = ERR_INIT;

	REQUIRE(!net_listen("", 0, &l, &err));
	CHECK(reaches("127.0.0.1", l, "127.0.0.1:"));
	CHECK(reaches("::1", l, "[::1]:"));
	net_listen_close(l);
}

TEST(psk_texts)
{
	static const char *const bad[] = { "", "user",
		":00112233445566778899aabbccddeeff",
		"u:0011", "u:00112233445566778899aabbccddeef",
		"u:zz112233445566778899aabbccddeeff" };
	struct net_psk psk;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(net_psk_parse(bad[i], &psk, &err) == -1);
		CHECK_U64(err.code, ERR_CFG_INVALID);
		CHECK(!strstr(err.text, "0011"));
	}
	REQUIRE(!net_psk_parse("u:00112233445566778899AABBCCDDEEFF\n", &psk, &err));
	CHECK_STR(psk.identity, "u");
	CHECK_U64(psk.key_len, 16);
	CHECK_U64(psk.key[15], 0xff);
}

static const struct test tests[] = {
	TEST_ENTRY(plain_echo,
		"a megabyte over TCP and back, then the end of the stream"),
	TEST_ENTRY(small_reads, "reads of all sizes around the buffer of a plain stream"),
	TEST_ENTRY(data_before_tls, "bytes in front of a TLS handshake are SRC_TLS"),
	TEST_ENTRY(tls_psk_echo, "three megabytes over TLS 1.3 with a pre-shared key"),
	TEST_ENTRY(tls_wrong_key, "a wrong key and a wrong user are SRC_AUTH"),
	TEST_ENTRY(no_tls_there, "NBD, HTTP and other servers are told apart"),
	TEST_ENTRY(nobody_listens, "a closed port and an unknown name have their codes"),
	TEST_ENTRY(read_times_out, "waits are limited"),
	TEST_ENTRY(deadline, "a peer that sends all the time is not heard for longer"),
	TEST_ENTRY(all_addresses, "no address is listened on: IPv6 and IPv4"),
	TEST_ENTRY(psk_texts, "key lines are checked and never repeated in messages"),
};
TEST_MAIN(tests)
