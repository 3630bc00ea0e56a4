/* SPDX-License-Identifier: Apache-2.0 */
/* netplan: block style as its own tools and cloud-init write it. */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

static bool mine(const char *name)
{
	return guest_net_ends_with(name, ".yaml");
}

/* A scalar without quotes and comment. */
static void value(const char *s, char *ret, size_t size)
{
	s += strspn(s, " \"'");
	snprintf(ret, size, "%.*s", (int)strcspn(s, " \"'#\r"), s);
}

struct block {
	char name[64], set_name[64], mac[32];
};

/* set-name is what the adapter is called in the end, the key only what netplan calls it. */
static void finish(struct net_look *l, struct block *b)
{
	if (*b->name || *b->set_name)
		l->add(l, *b->set_name ? b->set_name : b->name, b->mac);
	memset(b, 0, sizeof(*b));
}

/* The keys right below "ethernets:", by their indentation. */
static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	int section = -1, level = -1;
	char *save = NULL;
	struct block b = { .name = "" };

	(void)name;
	(void)len;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int indent = (int)strspn(line, " ");
		char *s = line + indent, *colon = strchr(s, ':');

		if (!*s || *s == '#' || !colon)
			continue;
		if (section >= 0 && indent <= section) {
			finish(l, &b);
			section = level = -1;
		}
		if (!strncmp(s, "ethernets:", 10)) {
			section = indent;
		} else if (section >= 0 && (level < 0 || indent == level)) {
			finish(l, &b);
			level = indent;
			*colon = '\0';
			value(s, b.name, sizeof(b.name));
		} else if (section >= 0 && !strncmp(s, "macaddress:", 11) && !*b.mac) {
			value(s + 11, b.mac, sizeof(b.mac));
		} else if (section >= 0 && !strncmp(s, "set-name:", 9)) {
			value(s + 9, b.set_name, sizeof(b.set_name));
		}
	}
	finish(l, &b);
	return true;
}

const struct net_stack guest_netplan = {
	.name = "netplan", .dirs = { "/etc/netplan" }, .mine = mine, .look = look,
	.address = guest_netplan_address,
};
