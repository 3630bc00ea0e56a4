/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 from a fixed address to DHCP and back, on request: in the files where the guest
 * has it, by each stack's own rules. IPv6, routes to other networks, search domains and
 * all else stay.
 */
#include "guest/network-internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

bool guest_net_is_v4(const char *s, size_t len)
{
	char text[INET_ADDRSTRLEN];
	struct in_addr a;
	size_t n = 0;

	while (n < len && (isdigit((unsigned char)s[n]) || s[n] == '.'))
		n++;
	if (n >= sizeof(text) ||
	    (n < len && (isalnum((unsigned char)s[n]) || s[n] == ':')))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return inet_pton(AF_INET, text, &a) == 1;
}

static bool plain_v4(const char *s, char ret[16])
{
	struct in_addr a;

	if (inet_pton(AF_INET, s, &a) != 1)
		return false;
	snprintf(ret, 16, "%s", s);
	return true;
}

int guest_address_parse(const char *who, const char *how, struct guest_address *ret,
	struct err *err)
{
	struct guest_address a = { .dhcp = !strcmp(how, "dhcp") };
	char text[128], *save = NULL, *word, *slash, *end = NULL;
	unsigned long prefix;

	if (!*who || strlen(who) >= sizeof(a.who) || strpbrk(who, " \t\r\n/"))
		return err_set(err, ERR_CFG_INVALID,
			"address %s: not an adapter's name or MAC address", who);
	snprintf(a.who, sizeof(a.who), "%s", who);
	snprintf(text, sizeof(text), "%s", how);
	if (a.dhcp) {
		*ret = a;
		return 0;
	}
	word = strtok_r(text, ",", &save);
	slash = word ? strchr(word, '/') : NULL;
	prefix = slash && isdigit((unsigned char)slash[1]) ?
		strtoul(slash + 1, &end, 10) : 0;
	if (slash)
		*slash = '\0';
	if (strlen(how) >= sizeof(text) || !word || !end || *end || prefix < 1 ||
		prefix > 32 || !plain_v4(word, a.address) || !strcmp(who, "all"))
		return err_set(err, ERR_CFG_INVALID, "address %s: %s is neither dhcp nor "
			"ADDRESS/PREFIX[,GATEWAY[,DNS...]]%s", who, how,
			strcmp(who, "all") ? "" :
			", and all adapters cannot have one address");
	a.prefix = (unsigned)prefix;
	word = strtok_r(NULL, ",", &save);
	if (word && strcmp(word, "-") && !plain_v4(word, a.gateway))
		return err_set(err, ERR_CFG_INVALID,
			"address %s: gateway %s is no IPv4 address", who, word);
	while (word && (word = strtok_r(NULL, ",", &save)))
		if (a.n_dns == GUEST_MAX_DNS || !plain_v4(word, a.dns[a.n_dns++]))
			return err_set(err, ERR_CFG_INVALID,
				"address %s: name server %s: not an IPv4 "
				"address, or more than %d", who, word, GUEST_MAX_DNS);
	*ret = a;
	return 0;
}

void guest_net_mask(unsigned prefix, char ret[16])
{
	struct in_addr a = { .s_addr = htonl(prefix ? ~0u << (32 - prefix) : 0) };

	inet_ntop(AF_INET, &a, ret, 16);
}

void guest_net_dns(const struct guest_address *a, const char *sep, struct strbuf *out)
{
	for (int i = 0; i < a->n_dns; i++)
		strbuf_fmt(out, "%s%s", i ? sep : "", a->dns[i]);
}

bool guest_net_wanted(const struct net_want *w, const char *name, const char *mac)
{
	if (!strcmp(name, "lo"))
		return false;
	if (w->all || (*name && !strcmp(name, w->name)))
		return true;
	for (int i = 0; i < 3 && *mac; i++)
		if (!strcasecmp(mac, w->macs[i]))
			return true;
	return false;
}

/* KEY, KEY0, KEY_2 */
static bool has_key(const char *line, size_t n, const char *key)
{
	size_t k = strlen(key);

	if (n < k || memcmp(line, key, k))
		return false;
	while (k < n && (isdigit((unsigned char)line[k]) || line[k] == '_'))
		k++;
	while (k < n && line[k] == ' ')
		k++;
	return k < n && line[k] == '=';
}

/* What is not written as IPv6. */
static bool to_drop(const char *line, size_t n, const char *const *keys)
{
	for (; *keys; keys++)
		if (has_key(line, n, *keys))
			return !memchr(line, ':', n);
	return false;
}

void guest_net_put_keys(const char *s, size_t len, const char *section,
	const char *const *keys, const char *fresh, struct strbuf *out)
{
	size_t name = section ? strlen(section) : 0, place = SIZE_MAX, tail = 0, full;
	CLEANUP_STRBUF struct strbuf kept = STRBUF_INIT;
	bool inside = !section, put = false, seen = !section;

	for (size_t at = 0; at < len; at += full) {
		const char *nl = memchr(s + at, '\n', len - at);
		size_t n;

		full = nl ? (size_t)(nl + 1 - (s + at)) : len - at;
		n = nl ? full - 1 : full;
		if (section && s[at] == '[') {
			inside = n >= name + 2 && !memcmp(s + at + 1, section, name) &&
				s[at + 1 + name] == ']';
			seen |= inside;
		}
		if (inside && to_drop(s + at, n, keys)) {
			if (!put)
				place = kept.len;
			put = true;
			continue;
		}
		strbuf_add(&kept, s + at, full);
		if (!nl)
			strbuf_str(&kept, "\n");
		if (inside && n)
			tail = kept.len;
	}
	if (!put)
		place = seen ? tail : kept.len;
	strbuf_add(out, kept.s, place);
	if (!seen)
		strbuf_fmt(out, "%s[%s]\n", kept.len ? "\n" : "", section);
	strbuf_str(out, fresh);
	strbuf_add(out, kept.s + place, kept.len - place);
	out->failed |= kept.failed;
}

struct search {
	struct guest *g;
	const struct net_want *want;
	const struct guest_nic *map;
	int n_map, found;
};

static int one_file(void *ctx, const struct net_stack *stack, const char *path,
	char *unused, size_t unused_len, struct err *err)
{
	struct search *q = ctx;
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, name = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	char real[FS_PATH_MAX];
	size_t len = 0;
	int got;

	(void)unused;
	(void)unused_len;
	if (!stack)
		return 0;
	/* a file that the new addresses rename has its text in the
	 * plan under its new name */
	guest_mac_rewrite(path, strlen(path), q->map, q->n_map, &name);
	if (name.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
	if (!guest_plan_has(q->g, name.s)) {
		if (fs_real(&q->g->root, path, real, sizeof(real), err) < 0)
			return -1;
	} else {
		snprintf(real, sizeof(real), "%s", name.s);
	}
	got = guest_plan_read(q->g, real, &text, &len, err);
	if (got)
		return got < 0 ? -1 : 0;
	got = stack->address(real, text, len, q->want, &out);
	if (out.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
	if (got < 0)
		guest_report_warn(q->g, "%s speaks of %s in a form that is not edited: its addresses stay "
			"as they are", path, q->want->how->who);
	q->found += got != 0;
	if (got <= 0)
		return 0;
	if (guest_op_write(q->g, real, out.s, out.len, q->want->how->dhcp ?
		"addresses by DHCP, as the job asks" : "a fixed address, as the job asks",
		err) < 0)
		return -1;
	return stack->address_more ? stack->address_more(q->g, real, q->want, err) : 0;
}

int guest_plan_addresses(struct guest *g, const char (*macs)[18],
	const struct guest_nic *map, int n_map, struct err *err)
{
	for (int i = 0; i < g->opt->n_addresses; i++) {
		const struct guest_address *a = &g->opt->addresses[i];
		struct net_want w = { .how = a, .all = !strcmp(a->who, "all"),
			.name = a->who,
			.macs = { a->who, "", "" } };
		struct search q = { g, &w, map, n_map, 0 };

		for (int k = 0; k < n_map; k++)
			if (!strcasecmp(map[k].old_mac, a->who) ||
			    !strcasecmp(map[k].mac, a->who)) {
				w.macs[1] = map[k].mac;
				w.macs[2] = map[k].old_mac;
			}
		for (int k = 0; k < g->facts.n_ifaces; k++) {
			const struct guest_iface *f = &g->facts.ifaces[k];

			if (!strcmp(f->name, a->who) && *macs[k])
				w.macs[1] = macs[k];
			else if (guest_net_wanted(&w, "", macs[k]) ||
			    guest_net_wanted(&w, "", f->mac))
				w.name = f->name;
		}
		if (guest_net_files(g, one_file, &q, err) < 0)
			return -1;
		if (!q.found)
			guest_report_warn(g,
				"no IPv4 configuration of %s was found: none was changed",
				a->who);
	}
	return 0;
}
