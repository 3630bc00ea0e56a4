/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection of the server, fed with frames whose magic, length and checksum are made
 * right, so that what is behind them is reached: first byte: 1 = greet properly first;
 * then, repeated, 22 bytes of a header (type, flags, disk, id, offset, raw, length) and
 * that many bytes of payload.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define HEAD 22

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static struct serve *server(void)
{
	static const struct serve_drive_spec drive = { "sda", "/proc/self/exe" };
	static const struct serve_config c = { .drives = &drive, .n_drives = 1,
		.host = "127.0.0.1", .allow_plain = true };
	static struct serve *s;
	struct err err = ERR_INIT;

	log_set_level(LOG_LEVEL_ERROR);
	if (!s && serve_start(&c, &s, &err) < 0)
		abort();
	return s;
}

static void *drain(void *arg)
{
	static char sink[1 << 16];

	while (read(*(int *)arg, sink, sizeof(sink)) > 0)
		continue;
	return NULL;
}

static size_t greeting(uint8_t *out, size_t size)
{
	struct proto_hello h = { .min_version = 1, .max_version = 1, .features = 3,
		.job = "j" };
	struct proto_frame f = { .type = PROTO_HELLO };

	f.len = (uint32_t)proto_put_hello(out + PROTO_HEADER, size - PROTO_HEADER, &h);
	proto_put_header(out, &f);
	return PROTO_HEADER + f.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static uint8_t out[1 << 16];
	struct serve_conn *c;
	struct err err = ERR_INIT;
	size_t n = 0;
	pthread_t thread;
	int pair[2];

	if (!len || len > 4096)
		return 0;
	if (in[0] & 1)
		n = greeting(out, sizeof(out));
	for (in++, len--; len >= HEAD && n + PROTO_HEADER < sizeof(out);) {
		struct proto_frame f = { .type = in[0], .flags = in[1], .disk = in[2] & 1,
			.id = bytes_le32(in + 4), .off = bytes_le64(in + 8),
			.raw = bytes_le32(in + 16), .len = bytes_le16(in + 20) };

		in += HEAD;
		len -= HEAD;
		if (f.len > len)
			f.len = (uint32_t)len;
		proto_put_header(out + n, &f);
		memcpy(out + n + PROTO_HEADER, in, f.len);
		n += PROTO_HEADER + f.len;
		in += f.len;
		len -= f.len;
	}
	c = calloc(1, sizeof(*c));
	if (!c || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	c->serve = server();
	if (net_stream_of_fd(pair[0], "fuzz", &c->stream, &err) < 0 ||
		pthread_create(&thread, NULL, drain, &pair[1]))
		abort();
	if (send(pair[1], out, n, MSG_NOSIGNAL) != (ssize_t)n ||
	    shutdown(pair[1], SHUT_WR) < 0)
		abort();
	serve_conn_run(c);
	net_close(c->stream);
	pthread_join(thread, NULL);
	close(pair[1]);
	free(c);
	return 0;
}
