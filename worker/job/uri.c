/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "job/job-internal.h"

int job_url_check(const char *url, const char *scheme)
{
	size_t n = strlen(scheme);
	const char *host, *end, *p;

	if (strncmp(url, scheme, n) || strncmp(url + n, "://", 3))
		return -1;
	host = url + n + 3;
	end = host + strcspn(host, "/");
	for (p = host; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("\"'<>\\^`{|}#?@", *p))
			return -1;
	if (*host == '[') {
		p = memchr(host, ']', (size_t)(end - host));
		if (!p || p == host + 1)
			return -1;
		p++;
	} else {
		for (p = host; p < end && *p != ':'; p++)
			if (!isalnum((unsigned char)*p) && *p != '.' && *p != '-')
				return -1;
		if (p == host)
			return -1;
	}
	if (p < end && (*p != ':' || p + 1 == end))
		return -1;
	while (p < end && ++p < end)
		if (!isdigit((unsigned char)*p))
			return -1;
	return 0;
}

bool job_source_url_known(const char *url)
{
	static const char *const prefixes[] = { "tws://", "tw://", "nbd://", "nbds://",
		"nbd+unix://", "nbds+unix://", "file:", "pattern:" };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(url, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static int add(char *ret, size_t *n, char c)
{
	if (*n + 1 >= JOB_URI_MAX)
		return -1;
	ret[(*n)++] = c;
	ret[*n] = '\0';
	return 0;
}

static int add_escaped(char *ret, size_t *n, const char *name, const char *plain)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (isalnum(c) || strchr(plain, c)) {
			if (add(ret, n, (char)c) < 0)
				return -1;
		} else if (add(ret, n, '%') < 0 || add(ret, n, hex[c >> 4]) < 0 ||
			add(ret, n, hex[c & 15]) < 0) {
			return -1;
		}
	}
	return 0;
}

/* The name is a path segment (below a file: URL: a path) before any '?'; behind pattern:
 * it is whatever that transport understands. */
int job_drive_uri(const struct job *j, const struct job_drive *d, char ret[JOB_URI_MAX])
{
	const char *url = j->source.url, *query = url + strcspn(url, "?");
	bool pattern = !strncmp(url, "pattern:", 8), file = !strncmp(url, "file:", 5);
	size_t n = 0;
	const char *p;

	ret[0] = '\0';
	for (p = url; p < query; p++)
		if (add(ret, &n, *p) < 0)
			return -1;
	if (n && ret[n - 1] != '/' && ret[n - 1] != ':' && add(ret, &n, '/') < 0)
		return -1;
	for (p = d->source; pattern && *p; p++)
		if (add(ret, &n, *p) < 0)
			return -1;
	if (!pattern && add_escaped(ret, &n, d->source, file ? "._-~/" : "._-~") < 0)
		return -1;
	for (p = query; *p; p++)
		if (add(ret, &n, *p) < 0)
			return -1;
	return 0;
}
