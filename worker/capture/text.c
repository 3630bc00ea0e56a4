/* SPDX-License-Identifier: Apache-2.0 */
/* Small files of a tree, and their text as JSON values whatever bytes they hold. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"
#include "capture/capture-internal.h"

#define MAX_FILE (16u << 20) /* cpuinfo of a thousand processors */
#define MAX_NAMES 4096

static bool path_of(const struct capture_view *v, char *ret, size_t size, const char *fmt,
	va_list ap)
{
	int n = snprintf(ret, size, "%s", v->root), m;

	if (n < 0 || (size_t)n >= size)
		return false;
	m = vsnprintf(ret + n, size - (size_t)n, fmt, ap);
	return m >= 0 && (size_t)(n + m) < size;
}

#define PATH_OF(v, path, fmt, ok) \
	do { \
		va_list ap_; \
		va_start(ap_, fmt); \
		ok = path_of(v, path, sizeof(path), fmt, ap_); \
		va_end(ap_); \
	} while (0)

bool capture_path(const struct capture_view *v, char *ret, size_t size,
	const char *fmt, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = path_of(v, ret, size, fmt, ap);
	va_end(ap);
	return ok;
}

char *capture_file(const struct capture_view *v, const char *fmt, ...)
{
	struct err ignored = ERR_INIT; /* what cannot be read is not known,
					* which null says */
	char path[1024], *text;
	size_t len;
	bool ok;

	PATH_OF(v, path, fmt, ok);
	if (!ok || fdio_read_file(path, MAX_FILE, &text, &len, &ignored) < 0)
		return NULL;
	return text;
}

void capture_line(const struct capture_view *v, char *ret, size_t size,
	const char *fmt, ...)
{
	char path[1024];
	size_t n;
	FILE *f;
	bool ok;

	*ret = '\0';
	PATH_OF(v, path, fmt, ok);
	f = ok ? fopen(path, "re") : NULL;
	if (!f)
		return;
	if (!fgets(ret, (int)size, f))
		*ret = '\0';
	fclose(f);
	n = strlen(ret);
	while (n && (unsigned char)ret[n - 1] <= ' ')
		ret[--n] = '\0';
	n = strspn(ret, " \t");
	memmove(ret, ret + n, strlen(ret + n) + 1);
}

bool capture_exists(const struct capture_view *v, const char *fmt, ...)
{
	char path[1024];
	bool ok;

	PATH_OF(v, path, fmt, ok);
	return ok && !access(path, F_OK);
}

void capture_link(const struct capture_view *v, char *ret, size_t size,
	const char *fmt, ...)
{
	char path[1024], target[1024];
	const char *slash;
	ssize_t n;
	bool ok;

	*ret = '\0';
	PATH_OF(v, path, fmt, ok);
	n = ok ? readlink(path, target, sizeof(target) - 1) : -1;
	if (n <= 0)
		return;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(ret, size, "%s", slash ? slash + 1 : target);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void capture_list(const struct capture_view *v, struct capture_names *ret,
	const char *fmt, ...)
{
	char path[1024], **list = calloc(MAX_NAMES, sizeof(*list));
	struct dirent *e;
	unsigned n = 0;
	DIR *dir;
	bool ok;

	*ret = (struct capture_names){ .n = 0 };
	PATH_OF(v, path, fmt, ok);
	dir = ok && list ? opendir(path) : NULL;
	while (dir && n < MAX_NAMES && (e = readdir(dir)))
		if (e->d_name[0] != '.' && (list[n] = strdup(e->d_name)))
			n++;
	if (dir)
		closedir(dir);
	if (n)
		qsort(list, n, sizeof(*list), by_name);
	*ret = (struct capture_names){ .name = list, .n = n };
}

void capture_names_free(struct capture_names *names)
{
	while (names->n)
		free(names->name[--names->n]);
	free(names->name);
	names->name = NULL;
}

yyjson_mut_val *capture_text(const struct capture_view *v, const char *text)
{
	CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;

	if (!text || !*text)
		return yyjson_mut_null(v->doc);
	for (const char *p = text; *p;) {
		unsigned n = bytes_utf8_length((const unsigned char *)p);

		if (n)
			strbuf_add(&b, p, n);
		else
			strbuf_str(&b, "\xef\xbf\xbd");
		p += n ? n : 1;
	}
	return b.failed ? NULL : yyjson_mut_strncpy(v->doc, b.s, b.len);
}

void capture_put(const struct capture_view *v, yyjson_mut_val *obj, const char *key,
	const char *text)
{
	yyjson_mut_obj_add_val(v->doc, obj, key, capture_text(v, text));
}

void capture_put_number(const struct capture_view *v, yyjson_mut_val *obj,
	const char *key, const char *text, uint64_t factor)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || n > INT64_MAX / factor)
		yyjson_mut_obj_add_null(v->doc, obj, key);
	else
		yyjson_mut_obj_add_uint(v->doc, obj, key, n * factor);
}

void capture_assignment(const char *text, const char *key, char *ret, size_t size)
{
	size_t k = strlen(key), n = 0;
	const char *p = text;
	char quote = 0;

	*ret = '\0';
	while (p && *p && (strncmp(p, key, k) || p[k] != '=')) {
		p = strchr(p, '\n');
		p += p != NULL;
	}
	if (!p || !*p)
		return;
	for (p += k + 1; *p && *p != '\n' && n + 1 < size; p++) {
		if (!quote && (*p == '"' || *p == '\''))
			quote = *p;
		else if (quote && *p == quote)
			quote = 0;
		else if (*p == '\\' && quote != '\'' && p[1] && p[1] != '\n')
			ret[n++] = *++p;
		else
			ret[n++] = *p;
	}
	ret[n] = '\0';
}

void capture_unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
			s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				(s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}
