/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yyjson.h>

#include "base/bytes.h"
#include "base/clock.h"

void control_clean_text(const char *src, char *ret, size_t max)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t n, used = 0;
	bool bad;

	for (; *s; s += n) {
		n = bytes_utf8_length(s);
		bad = !n || *s < 0x20 || *s == 0x7f;
		n += !n;
		if (used + n > max)
			break;
		memcpy(ret + used, bad ? "?" : (const char *)s, n);
		used += n;
	}
	ret[used] = '\0';
}

void control_clean_json(char *text)
{
	size_t n;

	for (; *text; text += n) {
		n = bytes_utf8_length((unsigned char *)text);
		if (!n) {
			*text = '?';
			n = 1;
		}
	}
}

static void add_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key,
	const char *text, size_t max)
{
	char clean[2049];

	control_clean_text(text, clean, max < sizeof(clean) ? max : sizeof(clean) - 1);
	yyjson_mut_obj_add_strcpy(d, o, key, clean);
}

/* The contract's numbers are signed 64-bit. */
static void add_count(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t v)
{
	yyjson_mut_obj_add_uint(d, o, key, v < INT64_MAX ? v : INT64_MAX);
}

static void add_eta(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, uint64_t v)
{
	if (v == UINT64_MAX)
		yyjson_mut_obj_add_null(d, o, key);
	else
		add_count(d, o, key, v);
}

static void add_err(yyjson_mut_doc *d, yyjson_mut_val *o, const struct err *e)
{
	yyjson_mut_val *v = yyjson_mut_obj_add_obj(d, o, "err");
	char site[128];

	yyjson_mut_obj_add_str(d, v, "code", err_name(e->code));
	add_text(d, v, "text", e->text, 1024);
	if (*err_hint(e->code))
		yyjson_mut_obj_add_str(d, v, "hint", err_hint(e->code));
	yyjson_mut_obj_add_bool(d, v, "retryable", err_retryable(e->code));
	if (e->file) {
		snprintf(site, sizeof(site), "%s:%d", e->file, e->line);
		add_text(d, v, "site", site, sizeof(site));
	}
}

static void fill_progress(yyjson_mut_doc *d, yyjson_mut_val *o, int drive,
	const struct copy_progress *p)
{
	yyjson_mut_obj_add_int(d, o, "drive", drive);
	add_text(d, o, "phase", p->phase ? p->phase : "", 32);
	add_count(d, o, "total", p->total);
	add_count(d, o, "done", p->done);
	add_count(d, o, "flushed", p->flushed);
	add_count(d, o, "wire", p->wire);
	add_count(d, o, "rate_bps", p->rate);
	add_eta(d, o, "eta_s", p->eta_s);
	add_eta(d, o, "eta_lo_s", p->eta_lo_s);
	add_eta(d, o, "eta_hi_s", p->eta_hi_s);
}

/* Ends a document: prints it to out and frees it. */
static int finish(yyjson_mut_doc *d, yyjson_mut_val *root, struct strbuf *out,
	struct err *err)
{
	size_t len = 0;
	char *text;

	yyjson_mut_doc_set_root(d, root);
	text = root ? yyjson_mut_write(d, 0, &len) : NULL;
	yyjson_mut_doc_free(d);
	if (text)
		strbuf_add(out, text, len);
	free(text);
	if (!text || out->failed)
		return err_set(err, ERR_NOMEM, "message to the controller");
	return 0;
}

int control_encode_register(const struct control_identity *id, const char *token,
	const char *facts, struct strbuf *out, struct err *err)
{
	yyjson_doc *in = yyjson_read(facts, strlen(facts), 0);
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d), *commands;
	const char *verb;

	if (!in || !yyjson_is_obj(yyjson_doc_get_root(in))) {
		yyjson_doc_free(in);
		yyjson_mut_doc_free(d);
		return err_set(err, ERR_INTERNAL,
			"the facts for the controller are not an object");
	}
	yyjson_mut_obj_add_str(d, o, "enroll_token", token);
	yyjson_mut_obj_add_str(d, o, "boot_id", id->boot_id);
	yyjson_mut_obj_add_str(d, o, "migration_id", id->migration);
	yyjson_mut_obj_add_str(d, o, "nonce", id->nonce);
	commands = yyjson_mut_obj_add_arr(d, o, "commands");
	for (size_t i = 0; (verb = control_verb(i)); i++)
		yyjson_mut_arr_add_str(d, commands, verb);
	yyjson_mut_obj_add_val(d, o, "facts",
		yyjson_val_mut_copy(d, yyjson_doc_get_root(in)));
	yyjson_doc_free(in);
	return finish(d, o, out, err);
}

/* MemAvailable of /proc/meminfo in bytes; 0 when it cannot be read. */
static uint64_t mem_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kb = 0;
	char line[128];

	while (f && !kb && fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemAvailable:", 13))
			kb = strtoull(line + 13, NULL, 10);
	if (f)
		fclose(f);
	return kb * 1024;
}

static void add_acks(yyjson_mut_doc *d, yyjson_mut_val *o, const struct control_ack *acks,
	unsigned n)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(d, o, "acks"), *a;

	for (unsigned i = 0; i < n; i++) {
		a = yyjson_mut_arr_add_obj(d, list);
		yyjson_mut_obj_add_str(d, a, "id", acks[i].id);
		yyjson_mut_obj_add_str(d, a, "status", acks[i].status);
		if (acks[i].err.code != ERR_NONE)
			add_err(d, a, &acks[i].err);
	}
}

int control_encode_heartbeat(const struct control_identity *id,
	const struct control_heartbeat *h, const struct control_ack *acks,
	unsigned n_acks, struct strbuf *out, struct err *err)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(d), *bytes, *drives;
	const struct copy_progress *at = h->drive >= 0 ? &h->drives[h->drive] : NULL;
	uint64_t total = 0, done = 0, flushed = 0;

	for (int i = 0; i < JOB_MAX_DRIVES; i++) {
		if (!h->drive_seen[i])
			continue;
		total += h->drives[i].total;
		done += h->drives[i].done;
		flushed += h->drives[i].flushed;
	}
	yyjson_mut_obj_add_uint(d, o, "seq", h->seq);
	yyjson_mut_obj_add_str(d, o, "boot_id", id->boot_id);
	yyjson_mut_obj_add_uint(d, o, "uptime_s", clock_now_ms() / 1000);
	yyjson_mut_obj_add_str(d, o, "state", job_state_name(h->state));
	if (*h->step)
		add_text(d, o, "step", h->step, 64);
	yyjson_mut_obj_add_uint(d, o, "attempt", h->attempt);
	bytes = yyjson_mut_obj_add_obj(d, o, "bytes");
	add_count(d, bytes, "total", total);
	add_count(d, bytes, "done", done);
	add_count(d, bytes, "flushed", flushed);
	add_count(d, o, "rate_bps", at ? at->rate : 0);
	add_eta(d, o, "eta_s", at ? at->eta_s : UINT64_MAX);
	drives = yyjson_mut_obj_add_arr(d, o, "drives");
	for (int i = 0; i < JOB_MAX_DRIVES; i++)
		if (h->drive_seen[i])
			fill_progress(d, yyjson_mut_arr_add_obj(d, drives), i,
				&h->drives[i]);
	add_count(d, o, "mem_available", mem_available());
	yyjson_mut_obj_add_uint(d, o, "waiting_events", h->waiting);
	yyjson_mut_obj_add_uint(d, o, "dropped_events", h->dropped);
	if (h->err.code != ERR_NONE)
		add_err(d, o, &h->err);
	add_acks(d, o, acks, n_acks);
	return finish(d, o, out, err);
}

static void format_time(int64_t ms, char ret[40])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 40 - n, ".%03dZ", (int)(ms % 1000));
}

static void add_data(yyjson_mut_doc *d, yyjson_mut_val *o,
	const struct control_identity *id, const struct control_event *e)
{
	yyjson_mut_val *data = yyjson_mut_obj_add_obj(d, o, "data");

	yyjson_mut_obj_add_str(d, data, "migration_id", id->migration);
	yyjson_mut_obj_add_str(d, data, "worker_id", id->worker_id);
	yyjson_mut_obj_add_str(d, data, "boot_id", id->boot_id);
	yyjson_mut_obj_add_str(d, data, "state", job_state_name(e->state));
	if (*e->step)
		add_text(d, data, "step", e->step, 64);
	yyjson_mut_obj_add_uint(d, data, "attempt", e->attempt);
	yyjson_mut_obj_add_uint(d, data, "monotonic_ms", e->monotonic_ms);
	if (e->text)
		add_text(d, data, "text", e->text, 2048);
	if (e->drive >= 0)
		yyjson_mut_obj_add_int(d, data, "drive", e->drive);
	if (e->has_progress)
		fill_progress(d, yyjson_mut_obj_add_obj(d, data, "progress"),
			e->drive >= 0 ? e->drive : 0, &e->progress);
	if (e->err)
		add_err(d, data, e->err);
	if (e->repeated)
		yyjson_mut_obj_add_uint(d, data, "repeated", e->repeated);
}

int control_encode_events(const struct control_identity *id,
	const struct control_queue *q, unsigned n, struct strbuf *out, struct err *err)
{
	yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *list = yyjson_mut_arr(d), *o;
	const struct control_event *e = q->head;
	char source[160], type[64], sequence[24], when[40];

	snprintf(source, sizeof(source), "/workers/%s/%s", id->worker_id, id->nonce);
	for (; n && e; n--, e = e->next) {
		o = yyjson_mut_arr_add_obj(d, list);
		snprintf(sequence, sizeof(sequence), "%012" PRIu64, e->sequence);
		snprintf(type, sizeof(type), "tw.%s.v1", e->type);
		format_time(e->time_ms, when);
		yyjson_mut_obj_add_str(d, o, "specversion", "1.0");
		yyjson_mut_obj_add_strcpy(d, o, "id", sequence);
		yyjson_mut_obj_add_str(d, o, "source", source);
		yyjson_mut_obj_add_strcpy(d, o, "type", type);
		yyjson_mut_obj_add_str(d, o, "subject", id->migration);
		yyjson_mut_obj_add_strcpy(d, o, "time", when);
		yyjson_mut_obj_add_strcpy(d, o, "sequence", sequence);
		yyjson_mut_obj_add_str(d, o, "datacontenttype", "application/json");
		add_data(d, o, id, e);
	}
	return finish(d, list, out, err);
}
