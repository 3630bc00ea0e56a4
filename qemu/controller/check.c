/* SPDX-License-Identifier: Apache-2.0 */
/* Checking what came in against tables of fields. */
#include "controller.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *type_name(json_type t)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",
		[JSON_STRING] = "a string", [JSON_INTEGER] = "an integer",
		[JSON_REAL] = "a number", [JSON_TRUE] = "true or false",
		[JSON_FALSE] = "true or false", [JSON_NULL] = "null",
	};
	return names[t];
}

static int64_t size_of(const json_t *v)
{
	return json_is_integer(v) ? json_integer_value(v)
		: json_is_string(v) ? (int64_t)json_string_length(v)
		: json_is_array(v)  ? (int64_t)json_array_size(v)
				    : 0;
}

int check_fields(const json_t *o, const struct field *f, char why[256])
{
	if (!json_is_object(o)) {
		snprintf(why, 256, "the body is not an object");
		return -1;
	}
	for (; f->name; f++) {
		json_t *v = json_object_get(o, f->name);
		bool ranged = f->max &&
			(json_is_integer(v) || json_is_string(v) || json_is_array(v));

		if (!v) {
			if (!f->required)
				continue;
			snprintf(why, 256, "%s: is missing", f->name);
			return -1;
		}
		if (json_is_boolean(v) ? f->type != JSON_TRUE :
		    json_typeof(v) != f->type) {
			snprintf(why, 256, "%s: is not %s", f->name, type_name(f->type));
			return -1;
		}
		if (ranged && (size_of(v) < f->min || size_of(v) > f->max)) {
			snprintf(why, 256, "%s: %s %lld to %lld allowed", f->name,
				json_is_integer(v) ? "only" : "only a length of",
				(long long)f->min, (long long)f->max);
			return -1;
		}
	}
	return 0;
}

const char *get_string(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

int64_t get_int(const json_t *o, const char *name, int64_t none)
{
	json_t *v = json_object_get(o, name);

	return json_is_integer(v) ? json_integer_value(v) : none;
}

bool is_name(const char *s, size_t max, const char *extra)
{
	size_t n = strlen(s);

	if (!n || n > max || !isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(extra, *s))
			return false;
	return true;
}

int64_t parse_rate(const char *s)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;
	unsigned long long v;
	int shift = 0;

	if (!isdigit((unsigned char)*s))
		return -1;
	v = strtoull(s, &end, 10);
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -1;
		shift = 10 * (int)(unit - units + 1);
	}
	return v > (unsigned long long)INT64_MAX >> shift ? -1 : (int64_t)(v << shift);
}
