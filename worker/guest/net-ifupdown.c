/* SPDX-License-Identifier: Apache-2.0 */
/* ifupdown: /etc/network/interfaces and its parts, see interfaces(5). */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* What stands in a stanza and lists adapters that may have none of their own. */
static bool lists_adapters(const char *word)
{
	static const char *const words[] = { "bond-slaves", "bond_slaves", "slaves",
		"bond-primary",
		"bond_primary", "bond-members", "bridge_ports", "bridge-ports",
		"vlan-raw-device", "vlan_raw_device" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

/* "iface NAME ...", "auto NAME..." and "bond-slaves NAME..." */
void guest_ifupdown_names(const char *s, size_t len,
	void (*each)(void *ctx, const char *name), void *ctx)
{
	for (const char *p = s, *end = s + len, *next; p < end; p = next) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		char line[512], *word, *save = NULL;
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
		bool many;

		next = nl ? nl + 1 : end;
		if (n >= sizeof(line))
			continue;
		memcpy(line, p, n);
		line[n] = '\0';
		word = strtok_r(line, " \t\r", &save);
		if (!word || (strcmp(word, "iface") && strcmp(word, "auto") &&
			strncmp(word, "allow-", 6) && !lists_adapters(word)))
			continue;
		many = strcmp(word, "iface");
		while ((word = strtok_r(NULL, " \t\r", &save))) {
			/* of a VLAN or alias: its adapter */
			word[strcspn(word, ".:")] = '\0';
			each(ctx, word);
			if (!many)
				break;
		}
	}
}

struct names {
	struct net_look *look;
	bool found;
};

static void on_name(void *ctx, const char *name)
{
	struct names *n = ctx;

	n->look->add(n->look, name, NULL);
	n->found = true;
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	struct names n = { .look = l };

	(void)name;
	guest_ifupdown_names(text, len, on_name, &n);
	return n.found;
}

static bool mine(const char *name)
{
	return !guest_net_leftover(name);
}

/* Options of a stanza that belong to a fixed address. */
static bool of_address(const char *word)
{
	static const char *const names[] = { "address", "netmask", "broadcast", "network",
		"gateway",
		"pointopoint", "scope", "dns-nameservers", "dns-nameserver" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(word, names[i]))
			return true;
	return false;
}

static void stanza(const struct guest_address *a, const char *device, struct strbuf *out)
{
	char mask[16];

	strbuf_fmt(out, "iface %s inet %s\n", device, a->dhcp ? "dhcp" : "static");
	if (a->dhcp)
		return;
	guest_net_mask(a->prefix, mask);
	/* In two lines: before 0.7 it could not be told in one. */
	strbuf_fmt(out, "\taddress %s\n\tnetmask %s\n", a->address, mask);
	if (*a->gateway)
		strbuf_fmt(out, "\tgateway %s\n", a->gateway);
	if (a->n_dns) {
		strbuf_str(out, "\tdns-nameservers ");
		guest_net_dns(a, " ", out);
		strbuf_str(out, "\n");
	}
}

/* The first IPv4 stanza of an adapter becomes what is wanted; another one of the same
 * adapter would add a second address, and goes. */
static int address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	enum { KEEP, EDIT, DROP } in = KEEP;
	char done[32][16];
	int found = 0;
	size_t full;

	(void)path;
	for (size_t at = 0; at < len; at += full) {
		const char *nl = memchr(text + at, '\n', len - at);
		char line[512], words[4][64] = { "", "", "", "" };
		bool head, again = false;

		full = nl ? (size_t)(nl + 1 - (text + at)) : len - at;
		snprintf(line, sizeof(line), "%.*s", (int)(full < 511 ? full : 511),
			text + at);
		sscanf(line, "%63s %63s %63s %63s", words[0], words[1], words[2],
			words[3]);
		head = !strcmp(words[0], "iface") || !strcmp(words[0], "auto") ||
			!strncmp(words[0], "allow-", 6) ||
			!strncmp(words[0], "source", 6) || !strcmp(words[0], "mapping") ||
			!strncmp(words[0], "no-auto", 7) || !strcmp(words[0], "rename") ||
			!strcmp(words[0], "template");
		if (head)
			in = KEEP;
		if (head && !strcmp(words[0], "iface") && !strcmp(words[2], "inet") &&
			strlen(words[1]) < sizeof(done[0]) && found < 32 &&
			(!strcmp(words[3], "static") ||
				(!w->all && !strcmp(words[3], "dhcp"))) &&
			guest_net_wanted(w, words[1], "")) {
			for (int i = 0; i < found; i++)
				again |= !strcmp(done[i], words[1]);
			in = again ? DROP : EDIT;
			if (!again) {
				strcpy(done[found++], words[1]);
				stanza(w->how, words[1], out);
			}
			continue;
		}
		if (in == DROP || (in == EDIT && of_address(words[0])))
			continue;
		strbuf_add(out, text + at, full);
		if (!nl)
			strbuf_str(out, "\n");
	}
	return found > 0;
}

const struct net_stack guest_ifupdown = {
	.name = "ifupdown", .file = "/etc/network/interfaces", .look = look,
	.address = address,
};
const struct net_stack guest_ifupdown_parts = {
	.name = "ifupdown", .dirs = { "/etc/network/interfaces.d" }, .mine = mine,
	.look = look, .address = address,
};
