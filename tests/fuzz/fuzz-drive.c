/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client end of the drive protocol, source/drive.c, against a server whose replies
 * are the input: frames with magic and checksum made right. Each is 18 bytes (type,
 * flags, kind of id, offset, raw, length) and so many bytes of payload.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/log.h"
#include "net/net.h"
#include "proto/proto.h"
#include "source/source.h"

#define HEAD 18
#define SIZE (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static struct listener *listener;
static uint8_t script[1 << 16]; /* what the second connection of a run gets */
static size_t script_len;
static unsigned connections;

static size_t put(uint8_t *out, struct proto_frame *f, const void *payload)
{
	proto_put_header(out, f);
	memcpy(out + PROTO_HEADER, payload, f->len);
	return PROTO_HEADER + f->len;
}

static size_t welcome(uint8_t *out)
{
	struct proto_welcome w = { .version = 1, .features = 3, .credit = PROTO_CREDIT,
		.max_read = PROTO_MAX_READ, .max_connections = 2 };
	struct proto_frame f = { .type = PROTO_WELCOME, .id = 0x80000000u };
	uint8_t b[256];

	f.len = (uint32_t)proto_put_welcome(b, sizeof(b), &w);
	return put(out, &f, b);
}

static void *serve(void *arg)
{
	struct proto_disk d = { .size = SIZE, .sector = 512, .physical = 512,
		.extents = true,
		.name = "sda", .state = "still" };
	struct err err = ERR_INIT;
	struct stream *s;

	while (!net_accept(listener, &s, &err)) {
		static uint8_t out[2048], in[4096], list[512];
		struct proto_frame f = { .type = PROTO_DISK_LIST, .id = 0x80000001u };
		size_t n = welcome(out);

		f.len = (uint32_t)proto_put_disk(list, sizeof(list), &d);
		n += put(out + n, &f, list);
		connections++; /* the first one learns the drives */
		net_set_timeout(s, 5000);
		net_write(s, out, n, &err);
		if (connections % 2 == 0)
			net_write(s, script, script_len, &err);
		/* No more comes; what the client sends is read, lest it be a reset. */
		shutdown(net_fd(s), SHUT_WR);
		while (!net_read_some(s, in, sizeof(in), &n, &err) && n)
			continue;
		net_close(s);
	}
	return arg;
}

static void begin(void)
{
	struct err err = ERR_INIT;
	pthread_t thread;

	if (listener)
		return;
	log_set_level(LOG_LEVEL_ERROR);
	if (net_listen("127.0.0.1", 0, &listener, &err) < 0 ||
		pthread_create(&thread, NULL, serve, NULL))
		abort();
}

/* Ids as the client will choose them: reads count from low,
 * other requests with the high bit. */
static uint32_t id_of(uint8_t kind)
{
	return kind & 0x80 ? 0x80000000u | (kind & 7) : kind & 7;
}

static void use(struct source_chan *c)
{
	static struct source_hash h[SIZE / SOURCE_LEAF];
	static struct source_extent e[64];
	static struct source_req r[2];
	struct source_req *done;
	struct err err = ERR_INIT;
	uint64_t stop;
	size_t n;

	for (unsigned i = 0; i < 2; i++) {
		r[i].verb = i ? SOURCE_READ_IF_DIFF : SOURCE_READ;
		r[i].off = i * SOURCE_LEAF;
		r[i].len = i ? 1000 : SOURCE_LEAF + 1;
		if (!r[i].buf)
			r[i].buf = aligned_alloc(4096, 2 * SOURCE_LEAF);
		if (source_submit(c, &r[i], &err) < 0)
			return;
	}
	if (source_extents(c, 0, SIZE, e, 64, &n, &stop, &err) < 0 ||
		source_hashes(c, 0, SIZE, h, &err) < 0)
		return;
	while (!source_reap(c, 1000, &done, &err) && done)
		continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	struct source_options opt = { .allow_plain = true, .compress = true };
	struct err err = ERR_INIT;
	struct source_chan *c = NULL;
	struct source *s;
	char uri[64];

	begin();
	connections = 0;
	script_len = 0;
	while (len >= HEAD && script_len + PROTO_HEADER + len < sizeof(script)) {
		struct proto_frame f = { .type = in[0], .flags = in[1],
			.id = id_of(in[2]),
			.off = bytes_le32(in + 4), .raw = bytes_le32(in + 8),
			.len = bytes_le16(in + 12) };

		in += HEAD;
		len -= HEAD;
		if (f.len > len)
			f.len = (uint32_t)len;
		script_len += put(script + script_len, &f, in);
		in += f.len;
		len -= f.len;
	}
	snprintf(uri, sizeof(uri), "tw://127.0.0.1:%u/sda", net_listen_port(listener));
	if (source_open(uri, &opt, &s, &err) < 0)
		abort(); /* these replies are right */
	if (!source_chan_open(s, &c, &err))
		use(c);
	source_chan_close(c);
	source_close(s);
	return 0;
}
