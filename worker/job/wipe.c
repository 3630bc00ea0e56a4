/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets end with the job. In the document on the boot volume they are overwritten in
 * place, character by character, so that it stays a job of the same length in the same
 * blocks: a second start needs its migration and mode to say JOB_DONE. Masked are psk,
 * token, key, key_base64, the strings of keys, and the operator's scripts (run), which
 * may hold passwords.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "job/job-internal.h"

struct wipe {
	char *text;       /* the document, changed in place */
	const char *copy; /* where yyjson has left the strings, each in its place */
	size_t len;
	bool keep_token;
	int n;
};

/* Whether that changes anything. */
static bool fill(char *p, size_t len, char with)
{
	bool changed = false;
	size_t i;

	for (i = 0; i < len; i++) {
		changed = changed || p[i] != with;
		p[i] = with;
	}
	return changed;
}

/* Writes a value that job_parse accepts here, and that nobody would choose. */
static bool mask(const char *key, char *p, size_t len)
{
	char *colon = memchr(p, ':', len), *hex = colon ? colon + 1 : p;

	if (!strcmp(key, "psk"))
		return fill(hex, len - (size_t)(hex - p), '0');
	if (!strcmp(key, "key_base64")) {
		/* one character more than base64 has is a blank */
		if (len % 4 == 1)
			p[--len] = ' ';
		return fill(p, len, 'A');
	}
	return fill(p, len, !strcmp(key, "run") ? '#' : '*');
}

static bool is_secret(const struct wipe *w, const char *key)
{
	return !strcmp(key, "psk") || !strcmp(key, "key") || !strcmp(key, "key_base64") ||
		!strcmp(key, "keys") || !strcmp(key, "run") ||
		(!strcmp(key, "token") && !w->keep_token);
}

static void wipe_string(struct wipe *w, const char *key, yyjson_val *v)
{
	size_t at = (size_t)(yyjson_get_str(v) - w->copy), end = at;

	while (end < w->len && w->text[end] != '"')
		end += w->text[end] == '\\' ? 2 : 1;
	if (end < w->len && mask(key, w->text + at, end - at))
		w->n++;
}

/* The parser has limited the depth. */
static void wipe_value(struct wipe *w, const char *key, yyjson_val *v)
{
	yyjson_val *k, *e;
	size_t i, n;

	if (yyjson_is_str(v) && is_secret(w, key))
		wipe_string(w, key, v);
	yyjson_obj_foreach(v, i, n, k, e)
		wipe_value(w, yyjson_get_str(k), e);
	yyjson_arr_foreach(v, i, n, e)
		wipe_value(w, key, e);
}

int job_wipe_text(char *text, size_t len, bool keep_token)
{
	struct wipe w = { .text = text, .len = len, .keep_token = keep_token };
	char *copy = calloc(1, len + YYJSON_PADDING_SIZE);
	yyjson_doc *doc;

	if (!copy)
		return -1;
	memcpy(copy, text, len);
	w.copy = copy;
	doc = yyjson_read_opts(copy, len, YYJSON_READ_INSITU, &job_read_wiping_alc, NULL);
	if (doc)
		wipe_value(&w, "", yyjson_doc_get_root(doc));
	yyjson_doc_free(doc);
	explicit_bzero(copy, len);
	free(copy);
	return doc ? w.n : -1;
}

static bool is_all(const char *s, size_t len, char c)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (s[i] != c)
			return false;
	return len > 0;
}

bool job_is_spent(const struct job *j)
{
	const char *hex = strchr(j->source.psk, ':');
	int i;

	if (hex && is_all(hex + 1, strlen(hex + 1), '0'))
		return true;
	if (is_all(j->controller.token, strlen(j->controller.token), '*'))
		return true;
	for (i = 0; i < j->prepare.n_keys; i++)
		if (!is_all(j->prepare.keys[i].secret, j->prepare.keys[i].len, '*') &&
			!is_all(j->prepare.keys[i].secret, j->prepare.keys[i].len, '\0'))
			return false;
	return j->prepare.n_keys > 0;
}

void job_wipe_medium(struct job_runner *r, bool keep_token)
{
	struct job_found *f = &r->found;
	struct err err = ERR_INIT;
	char *text = NULL;
	size_t len = 0;
	int n;

	if (f->channel != JOB_CH_MEDIUM || !f->has_medium)
		return;
	if (f->medium.read_only) {
		job_warn(r, "%s cannot be written: the secrets of the job stay on it",
			f->medium.node);
		return;
	}
	if (job_medium_read(&f->medium, "job.json", &text, &len, &err) < 0) {
		job_warn(r, "the secrets of the job stay on the volume: %s", err.text);
		return;
	}
	n = job_wipe_text(text, len, keep_token);
	if (n < 0)
		job_warn(r, "the secrets of the job stay on the volume: job.json has changed");
	else if (n && job_medium_overwrite(&f->medium, "job.json", text, len, &err) < 0)
		job_warn(r, "the secrets of the job stay on the volume: %s", err.text);
	else if (n)
		log_info("REPORT the secrets of the job are off the volume");
	explicit_bzero(text, len);
	free(text);
}
