/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netplan: which adapters its YAML speaks of. Maps in either style, block as its own
 * tools and cloud-init write it, or flow ("{a: b}", JSON); anchors and aliases are values
 * that say nothing.
 */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 16
#define MAX_KEY 64

static bool mine(const char *name)
{
	return guest_net_ends_with(name, ".yaml");
}

struct block {
	char name[MAX_KEY], match_name[MAX_KEY], set_name[MAX_KEY], mac[32], cloned[32];
	bool match;
};

struct walk {
	struct net_look *look;
	struct block b;
	char keys[MAX_DEPTH][MAX_KEY];
	int indents[MAX_DEPTH]; /* of block keys */
	int depth;
};

/* set-name is what the adapter is called in the end; with match, the key is only what
 * netplan calls it. */
static void finish(struct walk *w)
{
	struct block *b = &w->b;
	const char *name = *b->set_name ? b->set_name : *b->match_name ? b->match_name :
		b->match && *b->mac && !guest_net_physical(b->name) ? "" : b->name;

	if (*b->name)
		w->look->add(w->look, name, *b->mac ? b->mac : b->cloned);
	memset(b, 0, sizeof(*b));
}

/* A key with all keys above it in w->keys[0..depth - 1]; value "" = a map,
 * a list, or nothing. */
static void on_key(struct walk *w, const char *value)
{
	int at = w->depth - 1;

	while (at >= 0 && strcmp(w->keys[at], "ethernets"))
		at--;
	at++;
	if (!at || at > 2 || at >= w->depth)
		return;
	if (strcmp(w->b.name, w->keys[at])) {
		finish(w);
		memcpy(w->b.name, w->keys[at], sizeof(w->b.name));
	}
	if (w->depth == at + 2 && !strcmp(w->keys[at + 1], "match"))
		w->b.match = true;
	else if (w->depth == at + 2 && !strcmp(w->keys[at + 1], "set-name"))
		snprintf(w->b.set_name, sizeof(w->b.set_name), "%s", value);
	else if (w->depth == at + 2 && !strcmp(w->keys[at + 1], "macaddress"))
		snprintf(w->b.cloned, sizeof(w->b.cloned), "%.31s", value);
	else if (w->depth == at + 3 && !strcmp(w->keys[at + 1], "match")) {
		if (!strcmp(w->keys[at + 2], "macaddress"))
			snprintf(w->b.mac, sizeof(w->b.mac), "%.31s", value);
		else if (!strcmp(w->keys[at + 2], "name"))
			snprintf(w->b.match_name, sizeof(w->b.match_name), "%s", value);
	}
}

/* A scalar of either style and what ends it; the colon of a key stands before a blank, or
 * behind a quote. Returns the text behind it. */
static const char *scalar(const char *s, const char *ends, char *ret, size_t size)
{
	char quote = *s == '"' || *s == '\'' ? *s++ : '\0';
	size_t n = 0;

	if (quote) {
		n = strcspn(s, quote == '"' ? "\"\n" : "'\n");
	} else {
		while (s[n] && s[n] != '\n' && !strchr(ends, s[n]) &&
			!(s[n] == ':' && (!s[n + 1] || strchr(" \r\n", s[n + 1]))) &&
			!(s[n] == '#' && n && s[n - 1] == ' '))
			n++;
	}
	snprintf(ret, size, "%.*s", n < size ? (int)n : 0, s);
	for (size_t k = strlen(ret); k && strchr(" \t\r", ret[k - 1]);)
		ret[--k] = '\0';
	s += n;
	return quote && *s == quote ? s + 1 : s;
}

static bool push(struct walk *w, const char *key, int indent)
{
	if (w->depth == MAX_DEPTH)
		return false;
	snprintf(w->keys[w->depth], MAX_KEY, "%s", key);
	w->indents[w->depth++] = indent;
	return true;
}

static const char *blanks(const char *s)
{
	for (;;) {
		s += strspn(s, " \t\r\n,");
		if (*s != '#')
			return s;
		s += strcspn(s, "\n");
	}
}

/* What follows "{" or "[", to behind its end; NULL: it has none, or is too deep. */
static const char *flow(struct walk *w, const char *s, int budget)
{
	char key[MAX_KEY], value[MAX_KEY];

	if (!budget)
		return NULL;
	for (s = blanks(s); *s && *s != '}' && *s != ']'; s = blanks(s)) {
		const char *begin = s;

		if (*s == '{' || *s == '[') {
			if (!(s = flow(w, s + 1, budget - 1)))
				return NULL;
			continue;
		}
		s = scalar(s, ",{}[]", key, sizeof(key));
		if (*s != ':') {
			if (s == begin)
				return NULL;
			continue;
		}
		s = blanks(s + 1);
		if (!push(w, key, -1))
			return NULL;
		*value = '\0';
		if (*s != '{' && *s != '[' && *s != '}' && *s != ']')
			s = scalar(s, ",{}[]", value, sizeof(value));
		on_key(w, value);
		if (*s == '{' || *s == '[')
			s = flow(w, s + 1, budget - 1);
		w->depth--;
		if (!s)
			return NULL;
	}
	return *s ? s + 1 : NULL;
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	struct walk w = { .look = l };
	const char *next;

	(void)name;
	(void)len;
	for (const char *line = text; *line; line = next) {
		int indent = (int)strspn(line, " ");
		const char *s = line + indent;
		char key[MAX_KEY], value[MAX_KEY] = "";

		next = line + strcspn(line, "\n");
		next += *next == '\n';
		if (*s == '\n' || *s == '\r' || *s == '#' || !strncmp(line, "---", 3))
			continue;
		while (w.depth && indent <= w.indents[w.depth - 1])
			w.depth--;
		if (*s == '{') { /* all of it is JSON */
			if (!(next = flow(&w, s + 1, MAX_DEPTH)))
				break;
			continue;
		}
		s = scalar(s, "", key, sizeof(key));
		if (*s != ':' || *key == '-' || !push(&w, key, indent))
			continue;
		s += 1 + strspn(s + 1, " \t");
		if (*s == '&') /* an anchor's name */
			s += strcspn(s, " \r\n"), s += strspn(s, " \t");
		if (*s == '{' || *s == '[') {
			on_key(&w, "");
			if (!(s = flow(&w, s + 1, MAX_DEPTH)))
				break;
			next = s + strcspn(s, "\n");
			next += *next == '\n';
			continue;
		}
		if (!strchr("#*|>\r\n", *s))
			scalar(s, "", value, sizeof(value));
		on_key(&w, value);
	}
	finish(&w);
	return true;
}

const struct net_stack guest_netplan = {
	.name = "netplan", .dirs = { "/etc/netplan" }, .mine = mine, .look = look,
	.address = guest_netplan_address,
};
