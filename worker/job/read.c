/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job-internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text from a document in a message: short and without control characters. */
static const char *printable(const char *s, char out[64])
{
	size_t i;

	for (i = 0; s[i] && i < 60; i++)
		out[i] = s[i] >= 0x20 && s[i] < 0x7f ? s[i] : '?';
	out[i] = '\0';
	if (s[i])
		memcpy(out + i - 3, "...", 4);
	return out;
}

static void push(struct job_reader *r, const char *text)
{
	size_t n = strlen(text);

	if (n > sizeof(r->path) - 1 - r->path_len)
		n = sizeof(r->path) - 1 - r->path_len;
	memcpy(r->path + r->path_len, text, n);
	r->path_len += n;
	r->path[r->path_len] = '\0';
}

size_t job_read_push_key(struct job_reader *r, const char *key)
{
	size_t mark = r->path_len;
	char text[64];

	if (mark)
		push(r, ".");
	push(r, printable(key, text));
	return mark;
}

size_t job_read_push_index(struct job_reader *r, size_t i)
{
	size_t mark = r->path_len;
	char text[24];

	snprintf(text, sizeof(text), "[%zu]", i);
	push(r, text);
	return mark;
}

void job_read_pop(struct job_reader *r, size_t mark)
{
	r->path_len = mark;
	r->path[mark] = '\0';
}

static int vfail(struct job_reader *r, const char *fmt, va_list ap)
{
	char text[200];

	vsnprintf(text, sizeof(text), fmt, ap);
	return err_set(r->err, ERR_CFG_INVALID, "%s: %s",
		r->path_len ? r->path : "job", text);
}

int job_read_fail(struct job_reader *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(r, fmt, ap);
	va_end(ap);
	return -1;
}

int job_read_fail_key(struct job_reader *r, const char *key, const char *fmt, ...)
{
	size_t mark = job_read_push_key(r, key);
	va_list ap;

	va_start(ap, fmt);
	vfail(r, fmt, ap);
	va_end(ap);
	job_read_pop(r, mark);
	return -1;
}

static int wrong_type(struct job_reader *r, yyjson_val *v, const char *wanted)
{
	return job_read_fail(r, "must be %s, not %s", wanted,
		yyjson_is_null(v)   ? "null"
		: yyjson_is_bool(v) ? "true or false"
		: yyjson_is_num(v)  ? "a number"
		: yyjson_is_str(v)  ? "a string"
		: yyjson_is_arr(v)  ? "an array"
				    : "an object");
}

static const struct job_key *find_key(const struct job_key *keys, yyjson_val *name)
{
	for (; keys->name; keys++)
		if (yyjson_equals_str(name, keys->name))
			return keys;
	return NULL;
}

int job_read_object(struct job_reader *r, yyjson_val *v, const struct job_key *keys,
	void *dst)
{
	uint64_t seen = 0;
	yyjson_obj_iter it;
	yyjson_val *name;
	const struct job_key *k;

	if (!yyjson_is_obj(v))
		return wrong_type(r, v, "an object");
	it = yyjson_obj_iter_with(v);
	while ((name = yyjson_obj_iter_next(&it))) {
		size_t mark;
		int rc;

		k = find_key(keys, name);
		if (!k)
			return job_read_fail_key(r, yyjson_get_str(name), "unknown key");
		if (seen & 1ull << (k - keys))
			return job_read_fail_key(r, k->name, "given twice");
		seen |= 1ull << (k - keys);
		mark = job_read_push_key(r, k->name);
		rc = k->read(r, yyjson_obj_iter_get_val(name), k,
			(char *)dst + k->offset);
		if (rc < 0)
			return -1;
		job_read_pop(r, mark);
	}
	for (k = keys; k->name; k++)
		if (k->required && !(seen & 1ull << (k - keys)))
			return job_read_fail_key(r, k->name, "missing");
	return 0;
}

int job_read_array(struct job_reader *r, yyjson_val *v, size_t max,
	int (*each)(struct job_reader *r, yyjson_val *v, size_t i, void *ctx), void *ctx)
{
	yyjson_val *item;
	size_t i, n;

	if (!yyjson_is_arr(v))
		return wrong_type(r, v, "an array");
	if (yyjson_arr_size(v) > max)
		return job_read_fail(r, "has %zu elements, at most %zu are allowed",
			yyjson_arr_size(v), max);
	yyjson_arr_foreach(v, i, n, item)
	{
		size_t mark = job_read_push_index(r, i);

		if (each(r, item, i, ctx) < 0)
			return -1;
		job_read_pop(r, mark);
	}
	return 0;
}

static int check_text(struct job_reader *r, yyjson_val *v, uint64_t min, size_t max,
	bool lines)
{
	const char *s;
	size_t i, n;

	if (!yyjson_is_str(v))
		return wrong_type(r, v, "a string");
	s = yyjson_get_str(v);
	n = yyjson_get_len(v);
	if (n < min)
		return job_read_fail(r, "must not be empty");
	if (n > max)
		return job_read_fail(r, "is %zu bytes long, at most %zu are allowed",
			n, max);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if ((c < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f)
			return job_read_fail(r, "holds a control character");
	}
	return 0;
}

int job_read_string(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	if (check_text(r, v, k->min, k->size - 1, false) < 0)
		return -1;
	memcpy(field, yyjson_get_str(v), yyjson_get_len(v) + 1);
	return 0;
}

int job_read_text(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	char *copy;

	if (check_text(r, v, k->min, k->max, true) < 0)
		return -1;
	copy = strdup(yyjson_get_str(v));
	if (!copy)
		return err_set(r->err, ERR_NOMEM, "%s: no memory", r->path);
	*(char **)field = copy;
	return 0;
}

int job_read_bool(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	(void)k;
	if (!yyjson_is_bool(v))
		return wrong_type(r, v, "true or false");
	*(bool *)field = yyjson_get_bool(v);
	return 0;
}

int job_read_unsigned(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	if (!yyjson_is_uint(v)) {
		if (yyjson_is_num(v))
			return job_read_fail(r, "must be a whole number, 0 or more");
		return wrong_type(r, v, "a number");
	}
	if (yyjson_get_uint(v) < k->min || yyjson_get_uint(v) > k->max)
		return job_read_fail(r, "is %llu, must be from %llu to %llu",
			(unsigned long long)yyjson_get_uint(v),
			(unsigned long long)k->min, (unsigned long long)k->max);
	*(unsigned *)field = (unsigned)yyjson_get_uint(v);
	return 0;
}

int job_read_enum(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	char known[120] = "", text[64];
	int i;

	if (!yyjson_is_str(v))
		return wrong_type(r, v, "a string");
	for (i = 0; k->names[i]; i++) {
		if (yyjson_equals_str(v, k->names[i])) {
			*(int *)field = i;
			return 0;
		}
		snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s",
			i ? ", " : "", k->names[i]);
	}
	return job_read_fail(r, "\"%s\" is not one of: %s",
		printable(yyjson_get_str(v), text), known);
}

/* The size in front of each block lets it be wiped when it is given back. */
struct wiped {
	size_t size;
	size_t pad; /* keeps what follows aligned to 16 bytes */
};

static void *wiped_malloc(void *ctx, size_t size)
{
	struct wiped *w;

	(void)ctx;
	if (size > SIZE_MAX - sizeof(*w))
		return NULL;
	w = malloc(sizeof(*w) + size);
	if (!w)
		return NULL;
	w->size = size;
	return w + 1;
}

static void wiped_free(void *ctx, void *p)
{
	struct wiped *w = (struct wiped *)p - 1;

	(void)ctx;
	if (!p)
		return;
	explicit_bzero(w, sizeof(*w) + w->size);
	free(w);
}

static void *wiped_realloc(void *ctx, void *p, size_t old_size, size_t size)
{
	void *fresh = wiped_malloc(ctx, size);

	if (!fresh)
		return NULL;
	if (p) {
		memcpy(fresh, p, old_size < size ? old_size : size);
		wiped_free(ctx, p);
	}
	return fresh;
}

const yyjson_alc job_read_wiping_alc = { wiped_malloc, wiped_realloc, wiped_free, NULL };
