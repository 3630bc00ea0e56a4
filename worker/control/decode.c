/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the controller (controller-api.yaml). Unknown members are ignored, missing
 * ones and values out of their range are CTL_PROTO. Outputs are left alone on failure.
 */
#include "control/control-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yyjson.h>

#define INT53 9007199254740991u

static void free_doc(yyjson_doc **doc)
{
	yyjson_doc_free(*doc);
}
#define CLEANUP_DOC __attribute__((cleanup(free_doc)))

static yyjson_doc *parse(const char *buf, size_t len, struct err *err)
{
	yyjson_doc *doc = len ? yyjson_read(buf, len, 0) : NULL;

	if (doc && yyjson_is_obj(yyjson_doc_get_root(doc)))
		return doc;
	yyjson_doc_free(doc);
	err_set(err, ERR_CTL_PROTO, "controller: the answer is not a JSON object");
	return NULL;
}

static int wrong(struct err *err, const char *key)
{
	return err_set(err, ERR_CTL_PROTO, "controller: %s: missing or out of range",
		key);
}

/* A string of at least one character out of letters, digits and extra. */
static int get_word(yyjson_val *o, const char *key, const char *extra, char *ret,
	size_t size, struct err *err)
{
	yyjson_val *v = yyjson_obj_get(o, key);
	size_t n = yyjson_get_len(v);
	const char *s = yyjson_get_str(v);

	if (!s || !n || n >= size)
		return wrong(err, key);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && (!s[i] || !strchr(extra, s[i])))
			return wrong(err, key);
	memcpy(ret, s, n);
	ret[n] = '\0';
	return 0;
}

static int get_uint(yyjson_val *o, const char *key, uint64_t min, uint64_t max,
	uint64_t *ret, struct err *err)
{
	yyjson_val *v = yyjson_obj_get(o, key);

	if (!yyjson_is_uint(v) || yyjson_get_uint(v) < min || yyjson_get_uint(v) > max)
		return wrong(err, key);
	*ret = yyjson_get_uint(v);
	return 0;
}

static int get_policy(yyjson_val *o, struct control_registration *ret, struct err *err)
{
	yyjson_val *p = yyjson_obj_get(o, "policy");
	yyjson_val *paused = yyjson_obj_get(p, "paused");

	if (!yyjson_is_bool(paused))
		return wrong(err, "policy.paused");
	ret->paused = yyjson_get_bool(paused);
	if (yyjson_is_null(yyjson_obj_get(p, "bandwidth_bps")))
		return 0;
	ret->has_bandwidth = true;
	return get_uint(p, "bandwidth_bps", 0, INT64_MAX, &ret->bandwidth, err);
}

/* "2026-01-02T03:04:05[.678]Z" (RFC 3339, UTC only). What is not there is 0. */
static int get_time(yyjson_val *o, const char *key, int64_t *ret, struct err *err)
{
	const char *s = yyjson_get_str(yyjson_obj_get(o, key)), *rest;
	struct tm tm = { .tm_isdst = 0 };

	*ret = 0;
	if (!yyjson_obj_get(o, key))
		return 0;
	rest = s ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (rest && *rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!rest || strcmp(rest, "Z") || tm.tm_year < 120 || tm.tm_year >= 300)
		return wrong(err, key);
	*ret = timegm(&tm);
	return 0;
}

int control_decode_register(const char *buf, size_t len, struct control_registration *ret,
	struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);
	struct control_registration r = { .paused = false };
	yyjson_val *o = yyjson_doc_get_root(doc);
	uint64_t heartbeat, lease, starts = 0;

	if (!doc || get_word(o, "worker_id", "-", r.worker_id, sizeof(r.worker_id),
	    err) < 0 || get_word(o, "session_token", "._~+/=-", r.token, sizeof(r.token),
	    err) < 0 || get_uint(o, "heartbeat_s", 1, 600, &heartbeat, err) < 0 ||
	    get_uint(o, "lease_s", 2, 3600, &lease, err) < 0 ||
	    get_policy(o, &r, err) < 0 || (yyjson_obj_get(o, "starts") &&
	    get_uint(o, "starts", 0, INT32_MAX, &starts, err) < 0) ||
	    get_time(o, "server_time", &r.server_time, err) < 0)
		return -1;
	if (strlen(r.token) < 16)
		return wrong(err, "session_token");
	r.heartbeat_s = (unsigned)heartbeat;
	r.lease_s = (unsigned)lease;
	r.starts = (unsigned)starts;
	*ret = r;
	return 0;
}

static int get_command(yyjson_val *v, struct control_command *ret, struct err *err)
{
	yyjson_val *args = yyjson_obj_get(v, "args");

	memset(ret, 0, sizeof(*ret));
	if (get_uint(v, "seq", 1, INT53, &ret->seq, err) < 0 ||
	    get_word(v, "id", "-", ret->id, sizeof(ret->id), err) < 0 ||
	    get_word(v, "verb", "_", ret->verb, sizeof(ret->verb), err) < 0)
		return -1;
	if (!yyjson_is_obj(args))
		return wrong(err, "args");
	if (!yyjson_obj_get(args, "bandwidth_bps"))
		return 0;
	ret->has_bandwidth = true;
	return get_uint(args, "bandwidth_bps", 0, INT64_MAX, &ret->bandwidth, err);
}

static int get_commands(yyjson_val *o, struct control_commands *ret, struct err *err)
{
	yyjson_val *list = yyjson_obj_get(o, "commands"), *v;
	yyjson_arr_iter it;

	ret->n = 0;
	if (!yyjson_is_arr(list) || yyjson_arr_size(list) > CONTROL_MAX_COMMANDS)
		return wrong(err, "commands");
	it = yyjson_arr_iter_with(list);
	while ((v = yyjson_arr_iter_next(&it))) {
		if (get_command(v, &ret->list[ret->n], err) < 0)
			return -1;
		if (ret->n && ret->list[ret->n].seq <= ret->list[ret->n - 1].seq)
			return wrong(err, "commands[].seq");
		ret->n++;
	}
	return 0;
}

int control_decode_commands(const char *buf, size_t len, struct control_commands *ret,
	struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);

	return doc ? get_commands(yyjson_doc_get_root(doc), ret, err) : -1;
}

int control_decode_heartbeat(const char *buf, size_t len, unsigned *ret_interval_s,
	struct control_commands *ret, struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);
	yyjson_val *o = yyjson_doc_get_root(doc);
	uint64_t interval;

	if (!doc || get_uint(o, "interval_s", 1, 600, &interval, err) < 0 ||
	    get_commands(o, ret, err) < 0)
		return -1;
	*ret_interval_s = (unsigned)interval;
	return 0;
}

int control_decode_events(const char *buf, size_t len, unsigned sent, struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);
	yyjson_val *o = yyjson_doc_get_root(doc);
	uint64_t accepted, duplicates;

	if (!doc || get_uint(o, "accepted", 0, 256, &accepted, err) < 0 ||
	    get_uint(o, "duplicates", 0, 256, &duplicates, err) < 0)
		return -1;
	if (accepted + duplicates != sent)
		return err_set(err, ERR_CTL_PROTO, "controller: took %llu of %u events",
			(unsigned long long)(accepted + duplicates), sent);
	return 0;
}

int control_decode_log(const char *buf, size_t len, uint64_t *ret_size, struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);

	return doc ? get_uint(yyjson_doc_get_root(doc), "size", 0, INT64_MAX, ret_size,
		err) : -1;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int control_decode_journal(const char *buf, size_t len, size_t max, char **ret,
	size_t *ret_len, struct err *err)
{
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);
	yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(doc), "journal");
	const char *s = yyjson_get_str(v);
	size_t n = yyjson_get_len(v) / 2;
	char *out;

	if (!doc)
		return -1;
	if (!s || yyjson_get_len(v) % 2 || n > max)
		return wrong(err, "journal");
	for (size_t i = 0; i < 2 * n; i++)
		if (hex_digit(s[i]) < 0)
			return wrong(err, "journal");
	out = n ? malloc(n) : NULL;
	if (n && !out)
		return err_set(err, ERR_NOMEM,
			"journal of the controller: out of memory");
	for (size_t i = 0; i < n; i++)
		out[i] = (char)(hex_digit(s[2 * i]) << 4 | hex_digit(s[2 * i + 1]));
	*ret = out;
	*ret_len = n;
	return 0;
}

int control_decode_result(const char *buf, size_t len, char ret_sha256[65], int *ret_then,
	struct err *err)
{
	static const char *const names[] = {
		[JOB_POWEROFF] = "poweroff", [JOB_REBOOT] = "reboot", [JOB_HOLD] = "hold",
	};
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, err);
	yyjson_val *o = yyjson_doc_get_root(doc), *then = yyjson_obj_get(o, "then");
	char sha256[65];
	int found = -1;

	if (!doc || get_word(o, "sha256", "", sha256, sizeof(sha256), err) < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (yyjson_equals_str(then, names[i]))
			found = i;
	if (then && found < 0)
		return wrong(err, "then");
	memcpy(ret_sha256, sha256, sizeof(sha256));
	*ret_then = found;
	return 0;
}

void control_decode_problem(const char *buf, size_t len, struct control_problem *ret)
{
	struct err err = ERR_INIT;
	yyjson_doc *doc CLEANUP_DOC = parse(buf, len, &err);
	yyjson_val *o = yyjson_doc_get_root(doc);
	const char *detail;

	memset(ret, 0, sizeof(*ret));
	if (!doc)
		return;
	if (get_word(o, "code", "_", ret->code, sizeof(ret->code), &err) < 0)
		ret->code[0] = '\0';
	detail = yyjson_get_str(yyjson_obj_get(o, "detail"));
	if (detail)
		control_clean_text(detail, ret->detail, sizeof(ret->detail) - 1);
	ret->has_size = get_uint(o, "size", 0, INT64_MAX, &ret->size, &err) == 0;
}
