/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wicked's own configuration, /etc/wicked/ifconfig/NAME.xml, beside which there are ifcfg
 * files on nearly all systems. Adapters are found and their addresses mapped; IPv4 in it
 * is not edited.
 */
#include "guest/network-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static bool mine(const char *name)
{
	return guest_net_ends_with(name, ".xml");
}

/* The text of the next element <TAG ...>; false: none. Within a comment there is none. */
static bool next_text(const char **at, const char *tag, char *ret, size_t size)
{
	size_t k = strlen(tag);

	for (const char *s = *at; (s = strchr(s, '<')); s++) {
		const char *body, *end;

		if (!strncmp(s, "<!--", 4)) {
			s = strstr(s, "-->");
			if (!s)
				return false;
			continue;
		}
		if (strncmp(s + 1, tag, k) || !strchr("> \t\r\n", s[1 + k]) || !s[1 + k])
			continue;
		body = strchr(s, '>');
		end = body ? strchr(body, '<') : NULL;
		if (!end)
			return false;
		for (body++; body < end && isspace((unsigned char)*body); body++)
			;
		while (end > body && isspace((unsigned char)end[-1]))
			end--;
		snprintf(ret, size, "%.*s",
			(size_t)(end - body) < size ? (int)(end - body) : 0, body);
		*at = s + 1;
		return true;
	}
	return false;
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	static const char *const tags[] = { "name", "device" };
	char value[64];
	const char *at;

	(void)name;
	(void)len;
	for (size_t i = 0; i < 2; i++)
		for (at = text; next_text(&at, tags[i], value, sizeof(value));)
			if (*value)
				l->add(l, value, NULL);
	/* <name namespace="ethernet"><permanent-address>...: whatever its name is */
	for (at = text; next_text(&at, "permanent-address", value, sizeof(value));)
		l->add(l, "", value);
	return true;
}

static int address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const tags[] = { "name", "permanent-address" };
	char value[64];

	(void)path;
	(void)len;
	(void)out;
	for (size_t i = 0; i < 2; i++)
		for (const char *at = text;
		    next_text(&at, tags[i], value, sizeof(value));)
			if (*value && (w->all ? strstr(text, "<ipv4:static") != NULL :
				guest_net_wanted(w, i ? "" : value, i ? value : "")))
				return -1;
	return 0;
}

const struct net_stack guest_wicked = {
	.name = "wicked", .dirs = { "/etc/wicked/ifconfig" }, .mine = mine, .look = look,
	.address = address,
};
