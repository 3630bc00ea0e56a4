/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration that says on which disks a guest's LVM and md look for their parts, as
 * text. Names and identities of the old controller's disks would leave them without any.
 */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

#define MAX_PATTERN 256
#define MAX_PLUS 8

/* Disks by their order, controller or identity; globs of mdadm.conf too. */
static bool of_controller(const char *word, size_t len)
{
	static const char *const starts[] = {
		"/dev/sd", "/dev/hd", "/dev/xvd", "/dev/vd", "/dev/nvme", "/dev/cciss/",
		"/dev/disk/by-path/", "/dev/disk/by-id/",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (len >= strlen(starts[i]) &&
		    !strncmp(word, starts[i], strlen(starts[i])))
			return true;
	return false;
}

/* mdadm.conf(5): keywords may be shortened to three letters, a line that begins with a
 * blank continues the one before it. */
enum md_line { MD_OTHER, MD_DEVICE, MD_ARRAY };

static enum md_line keyword(const char *s, size_t len)
{
	if (len >= 3 && len <= 6 && !strncasecmp(s, "device", len))
		return MD_DEVICE;
	return len >= 3 && len <= 5 && !strncasecmp(s, "array", len) ? MD_ARRAY :
		MD_OTHER;
}

static size_t word_len(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && !isspace((unsigned char)s[n]))
		n++;
	return n;
}

struct md_state {
	enum md_line in;
	bool said_partitions; /* DEVICE: one word for all that name disks */
	bool has_uuid;        /* ARRAY: known by more than its members */
	int changed;
};

/* Whether the logical line that begins here has a word UUID=. */
static bool array_has_uuid(const char *s, size_t len)
{
	for (size_t at = 0, n; at < len; at += n ? n : 1) {
		n = word_len(s + at, len - at);
		if (n > 5 && !strncasecmp(s + at, "uuid=", 5))
			return true;
		if (s[at] == '\n' && at + 1 < len && s[at + 1] != ' ' &&
		    s[at + 1] != '\t')
			return false;
	}
	return false;
}

static void md_word(struct md_state *st, const char *word, size_t len, struct strbuf *out)
{
	if (st->in == MD_DEVICE && of_controller(word, len)) {
		if (!st->said_partitions)
			strbuf_str(out, "partitions");
		st->said_partitions = true;
		st->changed++;
	} else if (st->in == MD_ARRAY && st->has_uuid && len > 8 &&
		!strncasecmp(word, "devices=", 8)) {
		st->changed++;
	} else {
		if (st->in == MD_DEVICE && len == 10 && !strncmp(word, "partitions", 10))
			st->said_partitions = true;
		strbuf_add(out, word, len);
	}
}

int guest_mdadm_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	struct md_state st = { .in = MD_OTHER };

	(void)m;
	for (size_t at = 0, n; at < len; at += n) {
		if (isspace((unsigned char)s[at])) {
			n = 1;
			strbuf_add(out, s + at, n);
			continue;
		}
		if (s[at] == '#') {
			const char *nl = memchr(s + at, '\n', len - at);

			n = nl ? (size_t)(nl - (s + at)) : len - at;
			strbuf_add(out, s + at, n);
			continue;
		}
		n = word_len(s + at, len - at);
		if (!at || s[at - 1] == '\n') {
			st.in = keyword(s + at, n);
			st.said_partitions = false;
			st.has_uuid = st.in == MD_ARRAY &&
				array_has_uuid(s + at, len - at);
			strbuf_add(out, s + at, n);
		} else {
			md_word(&st, s + at, n, out);
		}
	}
	return st.changed;
}

/* lvm.conf(5): [ "a|regex|", "r|regex|" ], the first that matches decides,
 * no match accepts. */

/* regcomp(3) copies what "+" and braces repeat, nested ones many times over.
 * LVM knows no braces. */
static bool is_modest(const char *regex)
{
	int plus = 0;

	for (const char *p = regex; *p; p++)
		plus += *p == '+';
	return plus <= MAX_PLUS && !strchr(regex, '{');
}

/* 1 accepts, 0 rejects, -1: not a pattern. */
static int pattern_says(const char *p, size_t len, const char *name)
{
	char text[MAX_PATTERN];
	regex_t re;
	int hit;

	if (len < 3 || len - 2 >= sizeof(text) || (p[0] != 'a' && p[0] != 'r'))
		return -1;
	len -= 2;
	p++;
	if (p[len] == p[0] || p[len] == ')' || p[len] == '}' || p[len] == ']')
		len--; /* the closing delimiter */
	memcpy(text, p + 1, len);
	text[len] = '\0';
	if (!is_modest(text) || regcomp(&re, text, REG_EXTENDED | REG_NOSUB))
		return -1;
	hit = !regexec(&re, name, 0, NULL, 0);
	regfree(&re);
	return hit ? p[-1] == 'a' : -1;
}

/* Up to the end of the line when a comment begins here. */
static size_t comment_len(const char *s, size_t len)
{
	const char *nl = len && *s == '#' ? memchr(s, '\n', len) : NULL;

	return nl ? (size_t)(nl - s) : 0;
}

static bool accepts(const char *list, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++) {
		const char *end;
		int says;

		i += comment_len(list + i, len - i);
		if (i >= len || list[i] != '"')
			continue;
		end = memchr(list + i + 1, '"', len - i - 1);
		if (!end)
			break;
		says = pattern_says(list + i + 1, (size_t)(end - (list + i + 1)), name);
		if (says >= 0)
			return says;
		i = (size_t)(end - list);
	}
	return true;
}

/* The disks that the target may have. */
static bool accepts_target(const char *list, size_t len)
{
	return accepts(list, len, "/dev/vda2") && accepts(list, len, "/dev/vda") &&
		accepts(list, len, "/dev/sda2") && accepts(list, len, "/dev/nvme0n1p2");
}

/* What a text of LVM's is in: a string, by the quote that ends it, a comment ('#'), or
 * neither (0). Strings may have line breaks; a backslash counts between double quotes
 * only (libdm's parser). */
struct lvm_scan {
	char in;
	bool escaped;
};

static void lvm_scan(struct lvm_scan *st, char c)
{
	if (st->escaped)
		st->escaped = false;
	else if (st->in == '#')
		st->in = c == '\n' ? 0 : '#';
	else if (st->in == '"' && c == '\\')
		st->escaped = true;
	else if (st->in)
		st->in = c == st->in ? 0 : st->in;
	else if (c == '"' || c == '\'' || c == '#')
		st->in = c;
}

struct lvm_filter {
	size_t list, list_len; /* the patterns */
	size_t len;            /* of whole lines: the end of the last one
				* is in no string */
};

/* Where the value of a setting that filters disks begins, 0 = it is another setting. */
static size_t filter_value(const char *s, size_t len)
{
	size_t at = 0, name;

	while (at < len && (s[at] == ' ' || s[at] == '\t'))
		at++;
	name = at;
	while (at < len && (isalnum((unsigned char)s[at]) || s[at] == '_' ||
		s[at] == '/'))
		at++;
	if (!((at - name == 6 && !strncmp(s + name, "filter", 6)) ||
		(at - name == 13 && !strncmp(s + name, "global_filter", 13)) ||
		(at - name == 14 && !strncmp(s + name, "devices/filter", 14)) ||
		(at - name == 21 && !strncmp(s + name, "devices/global_filter", 21))))
		return 0;
	while (at < len && (s[at] == ' ' || s[at] == '\t' || s[at] == '='))
		at++;
	return at;
}

/* 1: a filter begins here; 0: none; -1: one that does not end,
 * which LVM refuses as a whole. */
static int find_filter(const char *s, size_t len, struct lvm_filter *ret)
{
	struct lvm_scan st = { 0 };
	size_t at = filter_value(s, len);
	bool open = at < len && s[at] == '['; /* one pattern may stand without brackets */

	if (!at)
		return 0;
	for (ret->list = at; at < len; at++) {
		lvm_scan(&st, s[at]);
		if (!st.in && s[at] == ']')
			open = false;
		if (!st.in && s[at] == '\n' && !open)
			break;
	}
	ret->list_len = at - ret->list;
	ret->len = at < len ? at + 1 : len;
	return open || st.in == '"' || st.in == '\'' ? -1 : 1;
}

static void comment_out(const char *s, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (!i || s[i - 1] == '\n')
			strbuf_str(out, "# target-worker: ");
		strbuf_add(out, s + i, 1);
	}
}

/* Filters are taken as a whole, so that what is left is read as it was, and a second run
 * finds nothing. */
int guest_lvm_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	struct lvm_scan st = { 0 };
	int changed = 0;
	size_t full;

	(void)m;
	for (size_t at = 0; at < len; at += full) {
		const char *nl = memchr(s + at, '\n', len - at);
		struct lvm_filter f = { 0 };
		int found = st.in ? 0 : find_filter(s + at, len - at, &f);

		full = nl ? (size_t)(nl - (s + at)) + 1 : len - at;
		if (found)
			full = found < 0 ? len - at : f.len;
		for (size_t i = 0; i < full; i++)
			lvm_scan(&st, s[at + i]);
		if (found <= 0 || accepts_target(s + at + f.list, f.list_len)) {
			strbuf_add(out, s + at, full);
			continue;
		}
		comment_out(s + at, full, out);
		changed++;
	}
	return changed;
}

/* crypttab: name, device, key, options; as fstab's spec, point, type, options. */
static int check_crypttab(void *ctx, const struct fstab_entry *e)
{
	struct guest *g = ctx;

	if (strstr(e->options, "tpm2-device") || strstr(e->options, "tpm2-pin"))
		guest_report_warn(g, "crypttab: %s is unlocked by the TPM of the old machine, which the new "
			"one cannot do; its passphrase will be asked for at the console",
			e->spec);
	else if (strstr(e->options, "pkcs11-uri") || strstr(e->options, "fido2-device"))
		guest_report_warn(g, "crypttab: %s needs a security token at every start",
			e->spec);
	return 0;
}

/* What multipath-tools wrote down of the disks that it met: WWIDs,
 * and the names it gave them. */
static int check_multipath(struct guest *g, struct err *err)
{
	static const char *const files[] = { "/etc/multipath/wwids",
		"/etc/multipath/bindings",
		"/var/lib/multipath/bindings" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		CLEANUP_FREE char *text = NULL;
		struct boot_line l;
		size_t len = 0, at = 0;

		if (fs_read(&g->root, files[i], GUEST_TEXT_MAX, &text, &len, err) < 0)
			return -1;
		while (text && boot_line_next(text, len, &at, &l))
			if (l.len && !isspace((unsigned char)l.s[0]) && l.s[0] != '#') {
				guest_report_warn(g, "%s: multipath was set up for disks of a storage network. "
					"Nothing here needs it: remove it from the guest (device-mapper-multipath, "
					"multipath-tools) and build the initramfs anew",
					files[i]);
				return 0;
			}
	}
	return 0;
}

int guest_plan_stack(struct guest *g, struct err *err)
{
	static const char devices_file[] = "/etc/lvm/devices/system.devices";
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (guest_plan_rewrite(g, "/etc/lvm/lvm.conf", guest_lvm_rewrite,
			"its filter hides the new disks from LVM", err) < 0 ||
		guest_plan_rewrite(g, "/etc/mdadm/mdadm.conf", guest_mdadm_rewrite,
			"arrays are found by UUID on any disk", err) < 0 ||
		guest_plan_rewrite(g, "/etc/mdadm.conf", guest_mdadm_rewrite,
			"arrays are found by UUID on any disk", err) < 0 ||
		fs_read(&g->root, "/etc/crypttab", GUEST_TEXT_MAX, &text, &len,
			err) < 0 ||
		check_multipath(g, err) < 0)
		return -1;
	if (text)
		guest_fstab_entries(text, len, check_crypttab, g);
	/* Without it LVM looks at all disks; its entries are serial
	 * numbers of the old ones. */
	if (fs_is_file(&g->root, devices_file) &&
		!guest_op_add(g, OP_REMOVE, devices_file, NULL,
		"identities of the old disks, which would hide the new ones from LVM"))
		return err_set(err, ERR_NOMEM, "make the plan: out of memory");
	return 0;
}
