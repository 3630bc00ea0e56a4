/* SPDX-License-Identifier: Apache-2.0 */
/* What the tools that build an initramfs are told of devices: where a hibernated system
 * lies, and what dracut takes along. An image that waits for a device of the old
 * controller holds up the start. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

/* RESUME= of initramfs-tools. A device that is not there makes the boot wait for it. */
static int resume_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char key[] = "RESUME=";
	char spec[256], name[256];
	size_t next = 0, at, n;
	struct boot_line l;

	do {
		if (!boot_line_next(s, len, &next, &l))
			return 0;
	} while (l.len < strlen(key) || memcmp(l.s, key, strlen(key)));
	at = (size_t)(l.s - s) + strlen(key);
	n = strcspn(s + at, " \t\r\n#");
	if (n >= sizeof(spec))
		return 0;
	memcpy(spec, s + at, n);
	spec[n] = '\0';
	if (!m->device(m->ctx, spec, name, sizeof(name)))
		return 0;
	strbuf_add(out, s, at);
	strbuf_str(out, name);
	strbuf_add(out, s + at + n, len - at - n);
	return 1;
}

enum kind { OTHER, WORDS, CMDLINE };

/* dracut.conf(5): KEY=, KEY+=, the value in quotes. A device is a word of add_device= and
 * of a line of fstab in fstab_lines=. */
static enum kind kind_of(const struct boot_line *l, size_t *ret_value)
{
	static const struct {
		const char *key;
		enum kind kind;
	} keys[] = { { "add_device", WORDS }, { "fstab_lines", WORDS },
		{ "kernel_cmdline", CMDLINE } };
	size_t at = 0, n;

	while (at < l->len && (l->s[at] == ' ' || l->s[at] == '\t'))
		at++;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		n = strlen(keys[i].key);
		if (l->len - at <= n || memcmp(l->s + at, keys[i].key, n))
			continue;
		n += at;
		n += l->s[n] == '+' && n + 1 < l->len;
		if (l->s[n] != '=')
			return OTHER;
		*ret_value = n + 1;
		return keys[i].kind;
	}
	return OTHER;
}

static int words_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char ends[] = " \t\r\n\"'";
	char spec[256], path[256];
	int changed = 0;

	for (size_t at = 0, n; at < len; at += n) {
		bool end = !s[at] || strchr(ends, s[at]);

		for (n = 1; at + n < len &&
		    (!s[at + n] || strchr(ends, s[at + n])) == end; n++)
			;
		snprintf(spec, sizeof(spec), "%.*s",
			n < sizeof(spec) ? (int)n : 0, s + at);
		if (!end && guest_stable_path(m, spec, path, sizeof(path))) {
			strbuf_str(out, path);
			changed++;
		} else {
			strbuf_add(out, s + at, n);
		}
	}
	return changed;
}

int guest_dracut_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	struct boot_line l;
	int changed = 0;
	size_t at = 0;

	while (boot_line_next(s, len, &at, &l)) {
		size_t value = l.full;
		enum kind k = kind_of(&l, &value);

		strbuf_add(out, l.s, value);
		if (k == WORDS)
			changed += words_rewrite(l.s + value, l.full - value, m, out);
		else if (k == CMDLINE)
			changed += boot_cmdline_rewrite(l.s + value, l.full - value,
				m, out);
	}
	return changed;
}

int guest_kdump_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	static const char *const types[] = { "ext2", "ext3", "ext4", "xfs", "btrfs",
		"minix" };
	char word[256], name[256];
	struct boot_line l;
	int changed = 0;
	size_t at = 0;

	while (boot_line_next(s, len, &at, &l)) {
		size_t n = 0, dev;
		bool known = false;

		while (n < l.len && l.s[n] != ' ' && l.s[n] != '\t')
			n++;
		for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
			known |= n == strlen(types[i]) && !memcmp(l.s, types[i], n);
		while (n < l.len && (l.s[n] == ' ' || l.s[n] == '\t'))
			n++;
		for (dev = n; dev < l.len && l.s[dev] != ' ' && l.s[dev] != '\t' &&
		    l.s[dev] != '\r'; dev++)
			;
		snprintf(word, sizeof(word), "%.*s",
			dev - n < sizeof(word) ? (int)(dev - n) : 0, l.s + n);
		if (!known || !m->device(m->ctx, word, name, sizeof(name))) {
			strbuf_add(out, l.s, l.full);
			continue;
		}
		strbuf_add(out, l.s, n);
		strbuf_str(out, name);
		strbuf_add(out, l.s + dev, l.full - dev);
		changed++;
	}
	return changed;
}

/* kdump makes its own initramfs anew when this file is younger. */
int guest_plan_kdump(struct guest *g, struct err *err)
{
	return guest_plan_rewrite(g, "/etc/kdump.conf", guest_kdump_rewrite,
		"where a crash of the kernel is written to, by UUID", err);
}

struct look {
	struct guest *g;
	struct err *err;
};

static int see_part(void *ctx, const char *name, const struct stat *st)
{
	static const char end[] = ".conf";
	const struct look *k = ctx;
	size_t n = strlen(name);
	char path[320];

	snprintf(path, sizeof(path), "/etc/dracut.conf.d/%s", name);
	if (S_ISDIR(st->st_mode) || n < sizeof(end) ||
		strcmp(name + n - (sizeof(end) - 1), end) ||
		!fs_is_file(&k->g->root, path))
		return 0;
	return guest_plan_rewrite(k->g, path, guest_dracut_rewrite,
		"devices in the initramfs by UUID", k->err);
}

int guest_plan_resume(struct guest *g, struct err *err)
{
	struct look k = { g, err };

	if (guest_plan_rewrite(g, "/etc/initramfs-tools/conf.d/resume", resume_rewrite,
			"the swap device by UUID", err) < 0 ||
		guest_plan_rewrite(g, "/etc/dracut.conf", guest_dracut_rewrite,
			"devices in the initramfs by UUID", err) < 0)
		return -1;
	return fs_list(&g->root, "/etc/dracut.conf.d", see_part, &k, err) < 0 ? -1 : 0;
}
