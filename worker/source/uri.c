/* SPDX-License-Identifier: Apache-2.0 */
/* URIs of sources: RFC 3986 as far as NBD and our own schemes use it;
 * %XX decoded in place. */
#include <stdlib.h>
#include <string.h>

#include "source/source-internal.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A NUL byte by %00 would cut a path in two: refused. */
static int decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int hi, lo;

		if (*s != '%') {
			*out++ = *s;
			continue;
		}
		hi = hex(s[1]);
		lo = hi < 0 ? -1 : hex(s[2]);
		if (lo < 0 || !(hi << 4 | lo))
			return -1;
		*out++ = (char)(hi << 4 | lo);
		s += 2;
	}
	*out = '\0';
	return 0;
}

static int parse_port(const char *s, uint16_t *ret)
{
	unsigned long v = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		v = v * 10 + (unsigned long)(*s - '0');
		if (v > 65535)
			return -1;
	}
	*ret = (uint16_t)v;
	return v ? 0 : -1;
}

/* [user@]host[:port] with IPv6 addresses in brackets;
 * an empty authority leaves host NULL. */
static int parse_authority(char *s, struct source_uri *u)
{
	char *at = strrchr(s, '@'), *end;

	if (at) {
		*at = '\0';
		u->user = s;
		s = at + 1;
		if (decode(u->user) < 0)
			return -1;
	}
	if (!*s)
		return at ? -1 : 0;
	if (*s == '[') {
		end = strchr(++s, ']');
		if (!end)
			return -1;
		*end++ = '\0';
		if (*end && *end != ':')
			return -1;
	} else {
		end = strchr(s, ':');
		if (!end)
			end = s + strlen(s);
	}
	if (*end == ':') {
		*end++ = '\0';
		if (parse_port(end, &u->port) < 0)
			return -1;
	}
	u->host = s;
	return *s ? decode(s) : -1;
}

static int parse_query(char *s, struct source_uri *u)
{
	while (s && *s) {
		char *next = strchr(s, '&'), *eq;

		if (next)
			*next++ = '\0';
		eq = strchr(s, '=');
		if (!eq || u->n_params == SOURCE_URI_PARAMS)
			return -1;
		*eq++ = '\0';
		if (decode(s) < 0 || decode(eq) < 0)
			return -1;
		u->params[u->n_params].key = s;
		u->params[u->n_params++].value = eq;
		s = next;
	}
	return 0;
}

/* The text may hold a secret, so messages do not repeat it. */
int source_uri_parse(const char *text, struct source_uri *ret, struct err *err)
{
	struct source_uri *u = ret;
	size_t len = strlen(text);
	char *s, *query;

	memset(u, 0, sizeof(*u));
	if (len >= SOURCE_URI_MAX)
		return err_set(err, ERR_USAGE, "source: longer than %d bytes",
			SOURCE_URI_MAX);
	memcpy(u->text, text, len + 1);
	u->scheme = u->text;
	s = strchr(u->text, ':');
	if (!s || s == u->text)
		return err_set(err, ERR_USAGE,
			"source: not a URI such as tws://host/drive, nbd://host, file:PATH");
	*s++ = '\0';
	query = strchr(s, '?');
	if (query)
		*query++ = '\0';
	if (parse_query(query, u) < 0)
		return err_set(err, ERR_USAGE,
			"source: the part after ? is not key=value&...");
	if (s[0] == '/' && s[1] == '/') {
		char *slash = strchr(s + 2, '/');

		u->path = slash ? slash + 1 : s + strlen(s);
		if (slash)
			*slash = '\0';
		if (parse_authority(s + 2, u) < 0)
			return err_set(err, ERR_USAGE,
				"source: cannot read host and port");
	} else {
		u->path = s;
	}
	if (decode(u->path) < 0)
		return err_set(err, ERR_USAGE, "source: bad %%XX in the path");
	return 0;
}

const char *source_uri_param(const struct source_uri *u, const char *key)
{
	for (unsigned i = 0; i < u->n_params; i++)
		if (!strcmp(u->params[i].key, key))
			return u->params[i].value;
	return NULL;
}

int source_uri_check_params(const struct source_uri *u, const char *const *known,
	struct err *err)
{
	for (unsigned i = 0; i < u->n_params; i++) {
		const char *const *k = known;

		while (*k && strcmp(*k, u->params[i].key))
			k++;
		if (!*k)
			return err_set(err, ERR_USAGE,
				"source: unknown parameter \"%.64s\"", u->params[i].key);
	}
	return 0;
}
