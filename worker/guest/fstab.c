/* SPDX-License-Identifier: Apache-2.0 */
/* fstab(5) and crypttab(5) as text: what does not have to change stays to the byte. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/words.h"

#define MAX_FIELDS 6

struct field {
	size_t at, len;
};

/* Splits one line at blanks; comments and lines with a NUL have no fields. */
static int split(const char *s, size_t len, struct field *ret)
{
	size_t i = 0;
	int n = 0;

	if (memchr(s, '\0', len))
		return 0;
	while (n < MAX_FIELDS) {
		while (i < len && (s[i] == ' ' || s[i] == '\t' || s[i] == '\r'))
			i++;
		if (i == len || (s[i] == '#' && !n))
			break;
		ret[n].at = i;
		while (i < len && s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
			i++;
		ret[n].len = i - ret[n].at;
		n++;
	}
	return n;
}

/* \040 and its like are octal. */
static bool unescape(const char *s, size_t len, char *ret, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '\\' && i + 3 < len && s[i + 1] >= '0' && s[i + 1] <= '3' &&
			s[i + 2] >= '0' && s[i + 2] <= '7' && s[i + 3] >= '0' &&
			s[i + 3] <= '7') {
			c = (char)((s[i + 1] - '0') << 6 | (s[i + 2] - '0') << 3 |
				(s[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= size)
			return false;
		ret[n++] = c;
	}
	ret[n] = '\0';
	return true;
}

static bool take(const char *line, const struct field *f, int n, int i, char *ret,
	size_t size)
{
	*ret = '\0';
	return i >= n || unescape(line + f[i].at, f[i].len, ret, size);
}

/* LABEL="x y" and UUID="..." may be quoted. */
static void unquote(char *s)
{
	char *eq = strchr(s, '='), *end;
	size_t len;

	if (!eq || (eq[1] != '"' && eq[1] != '\''))
		return;
	end = strrchr(eq, eq[1]);
	if (end <= eq + 1)
		return;
	len = (size_t)(end - (eq + 2));
	memmove(eq + 1, eq + 2, len);
	eq[1 + len] = '\0';
}

static bool parse(const char *line, size_t len, struct field *f, struct fstab_entry *e)
{
	int n = split(line, len, f);

	if (n < 2 || !take(line, f, n, 0, e->spec, sizeof(e->spec)) ||
		!take(line, f, n, 1, e->point, sizeof(e->point)) ||
		!take(line, f, n, 2, e->type, sizeof(e->type)) ||
		!take(line, f, n, 3, e->options, sizeof(e->options)))
		return false;
	unquote(e->spec);
	return true;
}

static size_t line_len(const char *s, size_t len, size_t at, size_t *ret_full)
{
	const char *nl = memchr(s + at, '\n', len - at);
	size_t n = nl ? (size_t)(nl - (s + at)) : len - at;

	*ret_full = n + (nl ? 1 : 0);
	return n;
}

int guest_fstab_entries(const char *s, size_t len,
	int (*each)(void *ctx, const struct fstab_entry *e), void *ctx)
{
	size_t full;

	for (size_t at = 0; at < len; at += full) {
		size_t n = line_len(s, len, at, &full);
		struct field f[MAX_FIELDS];
		struct fstab_entry e;
		int result;

		if (parse(s + at, n, f, &e) && (result = each(ctx, &e)))
			return result;
	}
	return 0;
}

/* Puts a new value in place of field i of a line. */
static void replace(const char *line, size_t full, const struct field *f,
	const char *value, struct strbuf *out)
{
	strbuf_add(out, line, f->at);
	strbuf_str(out, value);
	strbuf_add(out, line + f->at + f->len, full - f->at - f->len);
}

bool guest_fstab_awaited(const struct fstab_entry *e)
{
	static const char *const media[] = { "iso9660", "udf" };

	for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++)
		if (!strcmp(e->type, media[i]))
			return false;
	return *e->options && strcmp(e->point, "/") && !words_has(e->options, "noauto") &&
		!words_has(e->options, "nofail");
}

int guest_fstab_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t full;

	for (size_t at = 0; at < len; at += full) {
		size_t n = line_len(s, len, at, &full);
		struct field f[MAX_FIELDS];
		struct fstab_entry e;
		char name[256];

		if (!parse(s + at, n, f, &e)) {
			strbuf_add(out, s + at, full);
		} else if (guest_tool_mount(e.spec, e.type)) {
			strbuf_str(out, "# target-worker: ");
			strbuf_add(out, s + at, full);
			changed++;
		} else if (m->device(m->ctx, e.spec, name, sizeof(name))) {
			replace(s + at, full, &f[0], name, out);
			changed++;
		} else if (m->elsewhere && m->elsewhere(m->ctx, e.spec) &&
			guest_fstab_awaited(&e)) {
			strbuf_add(out, s + at, f[3].at + f[3].len);
			strbuf_str(out, ",nofail");
			strbuf_add(out, s + at + f[3].at + f[3].len,
				full - f[3].at - f[3].len);
			changed++;
		} else {
			strbuf_add(out, s + at, full);
		}
	}
	return changed;
}

int guest_crypttab_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t full;

	for (size_t at = 0; at < len; at += full) {
		size_t n = line_len(s, len, at, &full);
		struct field f[MAX_FIELDS];
		char spec[256], name[256];

		if (split(s + at, n, f) >= 2 &&
			unescape(s + at + f[1].at, f[1].len, spec, sizeof(spec)) &&
			m->device(m->ctx, spec, name, sizeof(name))) {
			replace(s + at, full, &f[1], name, out);
			changed++;
		} else {
			strbuf_add(out, s + at, full);
		}
	}
	return changed;
}

int guest_crypttab_early(const char *s, size_t len, const char *names, struct strbuf *out)
{
	/* behind two, three and four fields */
	static const char *const rest[] = { " none luks,initramfs", " luks,initramfs",
		",initramfs" };
	int changed = 0;
	size_t full;

	for (size_t at = 0; at < len; at += full) {
		size_t n = line_len(s, len, at, &full), end;
		struct field f[MAX_FIELDS];
		char name[128], options[512];
		int k = split(s + at, n, f);

		if (k < 2 || !unescape(s + at + f[0].at, f[0].len, name, sizeof(name)) ||
			!words_has(names, name) ||
			!take(s + at, f, k, 3, options, sizeof(options)) ||
			words_has(options, "initramfs")) {
			strbuf_add(out, s + at, full);
			continue;
		}
		k = k > 4 ? 4 : k;
		end = f[k - 1].at + f[k - 1].len;
		strbuf_add(out, s + at, end);
		strbuf_str(out, rest[k - 2]);
		strbuf_add(out, s + at + end, full - end);
		changed++;
	}
	return changed;
}
