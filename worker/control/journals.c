/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Journals of copies from sources that keep none, kept by the controller: what is durable
 * on a target, for the next worker of the migration. Only the latest one of a drive
 * counts, so that it replaces one that still waits.
 */
#include "control/control-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define MAX_BYTES (256u << 10) /* of a journal, as the contract says; 128 TiB */

void control_journal_put(void *control, int drive, const void *buf, size_t len)
{
	char *bytes = len <= MAX_BYTES ? malloc(len) : NULL;
	struct control *c = control;

	/* One that is lost costs time after a kill, and nothing else. */
	if (!bytes) {
		log_debug("the journal of drives[%d] is not sent", drive);
		return;
	}
	memcpy(bytes, buf, len);
	pthread_mutex_lock(&c->lock);
	free(c->journals[drive].bytes);
	c->journals[drive].bytes = bytes;
	c->journals[drive].len = len;
	c->journals[drive].number++;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

int control_journal_waiting(const struct control *c)
{
	for (int i = 0; i < JOB_MAX_DRIVES && !c->no_journals; i++)
		if (c->journals[i].bytes)
			return i;
	return -1;
}

static void encode(const char *bytes, size_t len, struct strbuf *out)
{
	static const char digits[] = "0123456789abcdef";

	strbuf_str(out, "{\"journal\":\"");
	for (size_t i = 0; i < len; i++) {
		char two[2] = { digits[(unsigned char)bytes[i] >> 4],
			digits[bytes[i] & 15] };

		strbuf_add(out, two, 2);
	}
	strbuf_str(out, "\"}");
}

enum control_outcome control_journal_send(struct control *c, struct control_http *h,
	struct control_response *r, struct err *err)
{
	struct strbuf body = STRBUF_INIT;
	enum control_outcome rc = CONTROL_RETRY;
	uint64_t len, stored = 0;
	unsigned number;
	char path[32];
	int i;

	pthread_mutex_lock(&c->lock);
	i = control_journal_waiting(c);
	number = c->journals[i].number;
	len = c->journals[i].len;
	encode(c->journals[i].bytes, c->journals[i].len, &body);
	pthread_mutex_unlock(&c->lock);
	snprintf(path, sizeof(path), "/journals/%d", i);
	if (body.failed)
		err_set(err, ERR_NOMEM, "journal for the controller: out of memory");
	else
		rc = control_session_run(c, h,
			&(struct control_request){ .method = "PUT", .path = path,
				.content_type = "application/json", .body = body.s,
				.len = body.len,
			.timeout_s = c->request_timeout_s }, r, err);
	strbuf_free(&body);
	if (rc == CONTROL_OK &&
	    control_decode_log(r->body.s, r->body.len, &stored, err) < 0)
		return CONTROL_RETRY;
	if (rc == CONTROL_OK && stored != len) {
		err_set(err, ERR_CTL_PROTO, "controller stored another journal");
		return CONTROL_RETRY;
	}
	if (rc == CONTROL_RETRY || rc == CONTROL_DEAD)
		return rc;
	pthread_mutex_lock(&c->lock);
	if (rc != CONTROL_OK) {
		log_warn("controller keeps no journals: %s", err->text);
		c->no_journals = true;
	}
	if (number == c->journals[i].number) {
		free(c->journals[i].bytes);
		c->journals[i].bytes = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	return CONTROL_OK;
}

int control_journal_get(void *control, int drive, size_t max, char **ret, size_t *ret_len,
	struct err *err)
{
	struct control_response r = { .body = STRBUF_INIT };
	struct control *c = control;
	enum control_outcome rc;
	char path[32];
	int n = -1;

	snprintf(path, sizeof(path), "/journals/%d", drive);
	rc = control_session_run(c, c->register_http,
		&(struct control_request){ .method = "GET", .path = path,
			.timeout_s = c->request_timeout_s }, &r, err);
	if (rc == CONTROL_OK)
		n = control_decode_journal(r.body.s ? r.body.s : "", r.body.len, max, ret,
			ret_len, err);
	strbuf_free(&r.body);
	return n;
}

void control_journals_free(struct control *c)
{
	for (int i = 0; i < JOB_MAX_DRIVES; i++)
		free(c->journals[i].bytes);
}
