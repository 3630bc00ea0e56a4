/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#include "base/log.h"

#define CHUNK (256u << 10)
#define WORKER_LOG (64u << 10) /* log_recent keeps no more */
#define KERNEL_LOG_MAX (1u << 20)
#define KLOG_READ_ALL 3 /* syslog(2) */
#define KLOG_SIZE 10

static const char *const names[CONTROL_LOGS] = { "worker", "kernel" };

static void collect(struct control_upload *u)
{
	int size = klogctl(KLOG_SIZE, NULL, 0), n;
	char *buf = malloc(WORKER_LOG + 1);

	if (buf)
		strbuf_add(&u->text[0], buf, log_recent(buf, WORKER_LOG + 1));
	free(buf);
	if (size > (int)KERNEL_LOG_MAX)
		size = KERNEL_LOG_MAX;
	buf = size > 0 ? malloc((size_t)size) : NULL;
	n = buf ? klogctl(KLOG_READ_ALL, buf, size) : -1;
	if (n > 0)
		strbuf_add(&u->text[1], buf, (size_t)n);
	else
		log_debug("the kernel's log cannot be read");
	free(buf);
	u->collected = true;
}

/* Sends the rest of one log. */
static enum control_outcome send_one(struct control *c, struct control_http *h,
	struct control_upload *u, int i, struct control_response *r, struct err *err)
{
	enum control_outcome rc = CONTROL_OK;
	struct strbuf *text = &u->text[i];
	struct control_problem p;
	char path[128];

	while (u->sent[i] < text->len && rc == CONTROL_OK) {
		size_t left = text->len - (size_t)u->sent[i];
		uint64_t size = 0;
		struct control_request q = { .method = "PUT", .path = path,
			.content_type = "text/plain", .body = text->s + u->sent[i],
			.len = left < CHUNK ? left :
			CHUNK, .timeout_s = c->request_timeout_s };

		snprintf(path, sizeof(path), "/logs/%s-%.8s-%u.log?offset=%" PRIu64,
			names[i], c->nonce, u->number, u->sent[i]);
		rc = control_session_run(c, h, &q, r, err);
		if (rc == CONTROL_OK &&
		    control_decode_log(r->body.s, r->body.len, &size, err) < 0)
			return CONTROL_RETRY;
		if (rc == CONTROL_GAP) {
			control_decode_problem(r->body.s, r->body.len, &p);
			if (!p.has_size || p.size >= u->sent[i])
				return CONTROL_BAD;
			u->sent[i] = p.size;
			rc = CONTROL_OK;
		} else if (rc == CONTROL_OK) {
			/* Anything else than moving on would send the
			 * same piece for ever. */
			if (size <= u->sent[i])
				return CONTROL_BAD;
			u->sent[i] = size < text->len ? size : text->len;
		}
	}
	return rc;
}

enum control_outcome control_logs_send(struct control *c, struct control_http *h,
	struct control_upload *u, struct control_response *r, struct err *err)
{
	enum control_outcome rc;

	if (!u->collected)
		collect(u);
	for (int i = 0; i < CONTROL_LOGS; i++) {
		rc = send_one(c, h, u, i, r, err);
		if (rc == CONTROL_RETRY || rc == CONTROL_DEAD)
			return rc;
		if (rc != CONTROL_OK) {
			log_warn("controller does not take the %s log: %s", names[i],
				err->text);
			u->sent[i] = u->text[i].len;
		}
	}
	return CONTROL_OK;
}

void control_logs_free(struct control_upload *u)
{
	for (int i = 0; i < CONTROL_LOGS; i++) {
		strbuf_free(&u->text[i]);
		u->text[i] = (struct strbuf)STRBUF_INIT;
		u->sent[i] = 0;
	}
	u->collected = false;
	u->number++;
}
