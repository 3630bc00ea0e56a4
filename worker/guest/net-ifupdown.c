/* SPDX-License-Identifier: Apache-2.0 */
/* ifupdown: /etc/network/interfaces and its parts, see interfaces(5). */
#include "guest/network-internal.h"

#include <string.h>

/* "iface NAME ..." and "auto NAME..." */
void guest_ifupdown_names(const char *s, size_t len, void (*each)(void *ctx, const char *name), void *ctx)
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
			strncmp(word, "allow-", 6)))
			continue;
		many = strcmp(word, "iface");
		while ((word = strtok_r(NULL, " \t\r", &save))) {
			word[strcspn(word, ".:")] = '\0'; /* of a VLAN or alias: its adapter */
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

const struct net_stack guest_ifupdown = {
	.name = "ifupdown", .file = "/etc/network/interfaces", .look = look,
};
const struct net_stack guest_ifupdown_parts = {
	.name = "ifupdown", .dirs = { "/etc/network/interfaces.d" }, .mine = mine, .look = look,
};
