/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile NBD server: the input is all that it sends, over a socket pair. The client
 * goes through the handshake, asks for extents, reads twice and takes whatever replies
 * come.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "source/nbd-internal.h"

#define MAX_INPUT 60000 /* fits the socket's buffer, so that one thread is enough */
#define LEN 4096u

static uint8_t buffers[2][LEN] __attribute__((aligned(4096)));
static char export[] = "disk";

static void use(struct source *s, struct source_chan *ch, struct nbd_conn *c)
{
	static struct source_extent extents[64];
	struct source_req reqs[2] = { { .verb = SOURCE_READ }, { .verb = SOURCE_READ } };
	struct err err = ERR_INIT;
	size_t n = 0;
	uint64_t end;

	s->info.size = c->size;
	s->info.extents = true;
	if (c->size < 4 * LEN)
		return;
	for (unsigned i = 0; i < 2; i++) {
		reqs[i].off = i * LEN;
		reqs[i].len = LEN;
		reqs[i].buf = buffers[i];
		if (source_submit(ch, &reqs[i], &err) < 0)
			return;
	}
	if (source_extents(ch, 0, c->size, extents, 64, &n, &end, &err) == 0)
		for (size_t i = 0; i < n; i++)
			if (extents[i].off >= c->size ||
			    extents[i].len > c->size - extents[i].off)
				abort();
	for (int i = 0; i < 4; i++) {
		struct source_req *done;

		if (source_reap(ch, 0, &done, &err) < 0 || !ch->in_flight)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct source s;
	struct nbd_target t = { .export = export };
	struct nbd_conn *c = calloc(1, sizeof(*c));
	struct source_chan ch = { .src = &s, .priv = c };
	struct err err = ERR_INIT;
	int fds[2];

	log_set_level(LOG_LEVEL_ERROR);
	if (!c || size < 1 || size > MAX_INPUT ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
		free(c);
		return 0;
	}
	if (data[0] & 1)
		t.bitmap = "b";
	memset(&s, 0, sizeof(s));
	s.ops = &source_nbd_ops;
	c->name = "fuzz";
	c->src = &s;
	c->next_cookie = 1;
	c->done_tail = &c->done;
	if (write(fds[1], data + 1, size - 1) != (ssize_t)size - 1 ||
		shutdown(fds[1], SHUT_WR) < 0)
		abort();
	if (net_stream_of_fd(fds[0], "fuzz", &c->s, &err) < 0)
		abort();
	if (source_nbd_handshake(c, &t, &err) == 0)
		use(&s, &ch, c);
	source_nbd_ops.chan_close(&ch);
	close(fds[1]);
	return 0;
}
