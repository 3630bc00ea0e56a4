/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The target's adapters have other addresses than the source's: whatever ties a
 * configuration to an old address is tied to the new one. An address can be told from
 * anything else in a text, so one rule serves HWADDR=, mac-address=, macaddress:,
 * MACAddress=, hwaddress and udev's rules.
 */
#include "guest/network-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

/* The length of an address at s, 0 = none; ret gets it as aa:bb:cc:dd:ee:ff. */
static size_t address_at(const char *s, size_t len, char ret[18])
{
	size_t step = len > 2 && (s[2] == ':' || s[2] == '-') ? 3 :
		2, n = 6 * step - (step == 3);

	if (len < n)
		return 0;
	for (size_t i = 0; i < 6; i++) {
		const char *p = s + i * step;

		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			(step == 3 && i < 5 && p[2] != s[2]))
			return 0;
		ret[3 * i] = (char)tolower((unsigned char)p[0]);
		ret[3 * i + 1] = (char)tolower((unsigned char)p[1]);
		ret[3 * i + 2] = i < 5 ? ':' : '\0';
	}
	return n;
}

/* Whether an address ends, or begins, beside this character: not within a longer one,
 * such as InfiniBand's or a DHCP identifier. */
static bool apart(char c)
{
	return !isalnum((unsigned char)c) && c != ':' && c != '-';
}

/* As the old one was written: its separators and its case. */
static void put(struct strbuf *out, const char *like, size_t n, const char *mac)
{
	bool upper = false, lower = false;

	for (size_t i = 0; i < n; i++) {
		upper |= isupper((unsigned char)like[i]);
		lower |= islower((unsigned char)like[i]);
	}
	for (size_t i = 0; i < 17; i++) {
		char c = mac[i];

		if (c == ':' && n == 12)
			continue;
		c = c == ':' ? like[2] :
			upper && !lower ? (char)toupper((unsigned char)c) :
			(char)tolower((unsigned char)c);
		strbuf_add(out, &c, 1);
	}
}

static const char *mapped(const struct guest_nic *map, int n, const char *mac)
{
	for (int i = 0; i < n; i++)
		if (map[i].old_mac[0] && !strcasecmp(map[i].old_mac, mac) &&
			strcasecmp(map[i].mac, mac))
			return map[i].mac;
	return NULL;
}

int guest_mac_rewrite(const char *s, size_t len, const struct guest_nic *map, int n,
	struct strbuf *out)
{
	size_t done = 0;
	int changes = 0;

	for (size_t i = 0; i < len; i++) {
		char mac[18], before = i ? s[i - 1] : '\n', after;
		size_t size;
		const char *fresh;

		/* a line that is a comment */
		if (s[i] == '#' && (before == '\n' || before == '\r')) {
			const char *nl = memchr(s + i, '\n', len - i);

			i = nl ? (size_t)(nl - s) : len;
			continue;
		}
		/* ifcfg-eth-id-MAC has a dash before it */
		if (!apart(before) &&
			!(before == '-' && i > 3 && !memcmp(s + i - 4, "-id-", 4)) &&
			!(before == ':' && i > 11 &&
				!memcmp(s + i - 11, "macaddress:", 11)))
			continue;
		size = address_at(s + i, len - i, mac);
		after = i + size < len ? s[i + size] : '\n';
		if (!size || !apart(after) ||
			(size == 12 && (before != '_' || after != '_')) ||
			!(fresh = mapped(map, n, mac)))
			continue;
		strbuf_add(out, s + done, i - done);
		put(out, s + i, size, fresh);
		i += size - 1;
		done = i + 1;
		changes++;
	}
	strbuf_add(out, s + done, len - done);
	return changes;
}

struct macs {
	struct guest *g;
	const struct guest_nic *map;
	int n;
};

static int one_file(void *ctx, const struct net_stack *stack, const char *path,
	char *text, size_t len, struct err *err)
{
	struct macs *m = ctx;
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, name = STRBUF_INIT;
	char real[FS_PATH_MAX];
	struct stat st;
	int renamed = guest_mac_rewrite(path, strlen(path), m->map, m->n, &name);

	(void)stack;
	if (!guest_mac_rewrite(text, len, m->map, m->n, &out) && !renamed)
		return 0;
	if (out.failed || name.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
	if (fs_real(&m->g->root, path, real, sizeof(real), err) < 0)
		return -1;
	if (!renamed)
		return guest_op_write(m->g, real, out.s, out.len,
			"the adapter's new address", err);
	/* The service of the new address was seen already: its own settings stay. */
	if (!fs_lstat(&m->g->root, name.s, &st) || fs_stat(&m->g->root, path, &st) < 0)
		return 0;
	if (guest_op_write(m->g, name.s, out.s, out.len, "the adapter's new address",
		err) < 0)
		return -1;
	m->g->ops[m->g->n_ops - 1].mode = st.st_mode & 0777;
	return guest_op_add(m->g, OP_REMOVE, path, NULL,
		"the adapter has a new address") ? 0 :
		err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
}

/* With A to B and B to C, or A and B exchanged,
 * a second run could not know that it is one. */
static bool chained(struct guest *g, const struct guest_nic *map, int n)
{
	for (int i = 0; i < n; i++)
		for (int k = 0; k < n; k++)
			if (i != k && map[i].old_mac[0] &&
			    !strcasecmp(map[i].old_mac, map[k].mac)) {
				guest_report_warn(g, "%s is an old address and a new one: addresses in "
					"the guest's network configuration stay as they are",
					map[k].mac);
				return true;
			}
	return false;
}

int guest_plan_macs(struct guest *g, const struct guest_nic *map, int n, struct err *err)
{
	struct macs m = { g, map, n };

	return !n || chained(g, map, n) ? 0 : guest_net_files(g, one_file, &m, err);
}
