/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 of one adapter in netplan's YAML: block style, with lists in either style. A list
 * in a later file is added to one of an earlier, so that only editing takes an address
 * away. What stands in braces for a whole adapter is not edited.
 */
#include "guest/network-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

struct line {
	const char *s;
	size_t len, full; /* without and with the newline */
	int indent;       /* -1: empty or a comment */
};

static bool next_line(const char **at, const char *end, struct line *ret)
{
	const char *s = *at, *nl;

	if (s >= end)
		return false;
	nl = memchr(s, '\n', (size_t)(end - s));
	ret->s = s;
	ret->len = (size_t)((nl ? nl : end) - s);
	ret->full = ret->len + (nl != NULL);
	ret->indent = 0;
	while ((size_t)ret->indent < ret->len && s[ret->indent] == ' ')
		ret->indent++;
	if ((size_t)ret->indent == ret->len || strchr("#\r", s[ret->indent]))
		ret->indent = -1;
	*at = s + ret->full;
	return true;
}

/* KEY: at the line's indentation; rest gets what follows it. */
static bool key_of(const struct line *l, char *ret, size_t size, const char **rest)
{
	const char *s = l->s + l->indent, *end = l->s + l->len,
		*colon = memchr(s, ':', (size_t)(end - s));

	if (!colon || *s == '-')
		return false;
	while (s < colon && strchr("\"' ", *s))
		s++;
	snprintf(ret, size, "%.*s", (int)(colon - s), s);
	ret[strcspn(ret, "\"' ")] = '\0';
	*rest = colon + 1;
	return true;
}

static bool bare(const char *s, const char *end)
{
	while (s < end && isspace((unsigned char)*s))
		s++;
	return s == end || *s == '#';
}

/* The next word of a list or map in either style, without quotes,
 * and its colon if it is a key. */
static bool word(const char **at, const char *end, char *ret, size_t size)
{
	const char *s = *at;
	size_t n;

	for (;; s++) {
		if (s < end && *s == '#')
			while (s < end && *s != '\n')
				s++;
		if (s >= end)
			return false;
		if (!strchr(" \t\r\n,[]{}\"'", *s) &&
		    !(*s == '-' && s + 1 < end && s[1] == ' '))
			break;
	}
	for (n = 0; s + n < end && !strchr(" \t\r\n,[]{}\"'#", s[n]);)
		n++;
	*at = s + n;
	snprintf(ret, size, "%.*s", (int)n, s);
	return n < size;
}

struct edit {
	struct strbuf addresses, servers, search, routes, rest;
	int item;    /* indentation of the routes */
	bool fixed, dhcp, odd;
};

static void add_quoted(struct strbuf *out, const char *s)
{
	strbuf_fmt(out, "%s\"%s\"", out->len ? ", " : "", s);
}

static void addresses(struct edit *e, const char *s, const char *end)
{
	char w[128];

	while (!e->odd && s < end && word(&s, end, w, sizeof(w))) {
		if (guest_net_is_v4(w, strlen(w)))
			e->fixed = true;
		else if (strchr(w, ':') && w[strlen(w) - 1] != ':')
			add_quoted(&e->addresses, w);
		else
			e->odd = true; /* a label or a lifetime, or an alias */
		e->odd |= s < end && *s &&
			(strchr("\"'", *s) ? s + 1 < end && s[1] == ':' : false);
	}
}

static void nameservers(struct edit *e, const char *s, const char *end)
{
	struct strbuf *to = NULL;
	char w[256];

	while (!e->odd && word(&s, end, w, sizeof(w))) {
		if (!strcmp(w, "addresses:") || !strcmp(w, "search:"))
			to = *w == 'a' ? &e->servers : &e->search;
		else if (!to || strchr("&*", *w))
			e->odd = true;
		else if (to == &e->search || !guest_net_is_v4(w, strlen(w)))
			add_quoted(to, w);
	}
}

static bool default_route(const char *s, const char *end)
{
	char w[128], last[128] = "";
	bool all = false, v4 = false;

	while (word(&s, end, w, sizeof(w))) {
		all |= !strcmp(last, "to:") &&
			(!strcmp(w, "default") || !strcmp(w, "0.0.0.0/0"));
		v4 |= !strcmp(last, "via:") && guest_net_is_v4(w, strlen(w));
		snprintf(last, sizeof(last), "%s", w);
	}
	return all && v4;
}

static void routes(struct edit *e, const char *s, const char *end)
{
	struct line l;
	const char *at = s;

	if (!next_line(&at, end, &l))
		return;
	if (!bare(s, at)) {
		/* [{to: ..}, ..] */
		e->odd = true;
		return;
	}
	while (at < end) {
		const char *item = at, *after;

		next_line(&at, end, &l);
		if (l.indent < 0)
			continue;
		if (l.s[l.indent] != '-' || (e->item >= 0 && l.indent != e->item)) {
			e->odd = true;
			return;
		}
		e->item = l.indent;
		for (after = at; next_line(&after, end, &l) &&
		    (l.indent < 0 || l.indent > e->item);)
			at = after;
		if (!default_route(item, at))
			strbuf_add(&e->routes, item, (size_t)(at - item));
	}
}

/* One key of the adapter with all that stands below it. */
static void entry(struct edit *e, const char *s, const char *end)
{
	struct line l;
	const char *at = s, *rest = NULL;
	char key[64] = "", value[16] = "";

	next_line(&at, end, &l);
	if (!key_of(&l, key, sizeof(key), &rest) || !strcmp(key, "<<")) {
		e->odd = true;
		return;
	}
	if (!strcmp(key, "addresses"))
		addresses(e, rest, end);
	else if (!strcmp(key, "nameservers"))
		nameservers(e, rest, end);
	else if (!strcmp(key, "routes"))
		routes(e, rest, end);
	else if (!strcmp(key, "dhcp4"))
		e->dhcp = word(&rest, end, value, sizeof(value)) &&
			strchr("tTyY", *value);
	else if (strcmp(key, "gateway4"))
		strbuf_add(&e->rest, s, (size_t)(end - s));
}

static void lists(const struct edit *e, const struct guest_address *a, int k,
	struct strbuf *out)
{
	int item = e->item >= 0 ? e->item : k + 2;

	strbuf_fmt(out, "%*sdhcp4: %s\n", k, "", a->dhcp ? "true" : "false");
	if (!a->dhcp || e->addresses.len)
		strbuf_fmt(out, "%*saddresses: [", k, "");
	if (!a->dhcp)
		strbuf_fmt(out, "\"%s/%u\"%s", a->address, a->prefix,
			e->addresses.len ? ", " : "");
	if (!a->dhcp || e->addresses.len)
		strbuf_fmt(out, "%s]\n", e->addresses.len ? e->addresses.s : "");
	if (a->n_dns || e->servers.len || e->search.len)
		strbuf_fmt(out, "%*snameservers:\n", k, "");
	if (a->n_dns || e->servers.len) {
		strbuf_fmt(out, "%*saddresses: [", k + 2, "");
		guest_net_dns(a, ", ", out);
		strbuf_fmt(out, "%s%s]\n", a->n_dns && e->servers.len ? ", " : "",
			e->servers.len ? e->servers.s : "");
	}
	if (e->search.len)
		strbuf_fmt(out, "%*ssearch: [%s]\n", k + 2, "", e->search.s);
	if (*a->gateway || e->routes.len)
		strbuf_fmt(out, "%*sroutes:\n", k, "");
	if (*a->gateway)
		strbuf_fmt(out, "%*s- to: 0.0.0.0/0\n%*s  via: %s\n", item, "", item, "",
			a->gateway);
	strbuf_add(out, e->routes.s ? e->routes.s : "", e->routes.len);
}

/* The lines below "NAME:". As guest_netplan's address. */
static int adapter(const char *name, const char *s, const char *end,
	const struct net_want *w, struct strbuf *out)
{
	struct edit e = { .addresses = STRBUF_INIT, .item = -1 };
	char mac[32] = "", set[64] = "", key[64];
	const char *at = s, *first = NULL, *rest;
	struct line l;
	int k = -1, got = 0;

	while (next_line(&at, end, &l)) {
		bool inner = k >= 0 &&
			(l.indent < 0 || l.indent > k || l.s[l.indent] == '-');

		if (l.indent >= 0 && key_of(&l, key, sizeof(key), &rest) &&
		    !strcmp(key, "set-name"))
			word(&rest, end, set, sizeof(set));
		rest = memmem(l.s, l.len, "macaddress:", 11);
		if (rest && l.indent >= 0 && !*mac && (rest += 11))
			word(&rest, end, mac, sizeof(mac));
		if (l.indent < 0 && k < 0) {
			strbuf_add(&e.rest, l.s, l.full);
		} else if (!inner) {
			if (k >= 0 && l.indent != k)
				e.odd = true;
			if (first)
				entry(&e, first, l.s);
			first = l.s;
			k = l.indent;
		}
	}
	if (first)
		entry(&e, first, end);
	if (guest_net_wanted(w, *set ? set : name, mac) || guest_net_wanted(w, name, ""))
		got = e.odd ? -1 : e.fixed || (e.dhcp && !w->all);
	if (got > 0) {
		lists(&e, w->how, k, out);
		strbuf_add(out, e.rest.s ? e.rest.s : "", e.rest.len);
	}
	out->failed |= e.addresses.failed || e.servers.failed || e.search.failed ||
		e.routes.failed || e.rest.failed;
	strbuf_free(&e.addresses);
	strbuf_free(&e.servers);
	strbuf_free(&e.search);
	strbuf_free(&e.routes);
	strbuf_free(&e.rest);
	return got;
}

static bool devices(const char *key)
{
	return !strcmp(key, "ethernets") || !strcmp(key, "bonds") ||
		!strcmp(key, "bridges") || !strcmp(key, "vlans");
}

int guest_netplan_address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	const char *at = text, *end = text + len, *rest = NULL;
	int section = -1, level = -1, found = 0;
	struct line l;

	(void)path;
	/* before anything: keys below would be told apart by their indentation alone */
	if (memchr(text, '\t', len))
		return w->all || strstr(text, w->name) ? -1 : 0;
	while (next_line(&at, end, &l)) {
		const char *body = at, *after = at;
		char key[64] = "";
		int got;

		strbuf_add(out, l.s, l.full);
		if (l.indent < 0 || !key_of(&l, key, sizeof(key), &rest))
			continue;
		if (section >= 0 && l.indent <= section)
			section = level = -1;
		if (section < 0 && (devices(key) || !strcmp(key, "network")) &&
		    !bare(rest, l.s + l.len))
			return strstr(text, w->name) || w->all ? -1 : 0;
		if (section < 0 && devices(key)) {
			section = l.indent;
			continue;
		}
		if (section < 0 || (level >= 0 && l.indent != level))
			continue;
		level = l.indent;
		if (!bare(rest, l.s + l.len)) {
			if (w->all || guest_net_wanted(w, key, ""))
				return -1;
			continue;
		}
		for (struct line below; next_line(&after, end, &below) &&
			(below.indent < 0 || below.indent > level);)
			at = after;
		if (!l.full || l.full == l.len)
			strbuf_str(out, "\n");
		got = adapter(key, body, at, w, out);
		if (got < 0)
			return -1;
		if (!got)
			strbuf_add(out, body, (size_t)(at - body));
		found |= got;
	}
	return found;
}
