/* SPDX-License-Identifier: Apache-2.0 */
/* The network adapters that the guest's configuration speaks of,
 * in each of its stacks. */
#include "guest/network-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct finding {
	struct guest *g;
	/* names that its own rules and .link files give */
	struct guest_iface given[GUEST_MAX_IFACES];
	int n_given;
	bool more; /* than fit */
};

/* Names of adapters; bridges, bonds and the like are made by the guest itself. */
bool guest_net_physical(const char *name)
{
	static const char *const starts[] = { "en", "eth", "em", "p1p", "p2p", "p3p",
		"p4p", "ib" };

	/* It becomes part of names of files and of lines in them. */
	if (strlen(name) >= 16 || name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")])
		return false;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (!strncmp(name, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static bool is_mac(const char *s)
{
	for (int i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' &&
		    s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	return !s[17];
}

static void set_mac(struct guest_iface *i, const char *mac)
{
	if (mac && is_mac(mac) && !i->mac[0])
		for (int k = 0; k < 18; k++)
			i->mac[k] = mac[k] == '-' ? ':' :
				(char)tolower((unsigned char)mac[k]);
}

/* enx005056aabbcc: a name that is the address. */
static void mac_of_name(struct guest_iface *i)
{
	char mac[18];

	if (strncmp(i->name, "enx", 3) || strlen(i->name) != 15)
		return;
	for (int k = 0; k < 6; k++)
		snprintf(mac + 3 * k, 4, "%.2s%s", i->name + 3 + 2 * k, k < 5 ? ":" : "");
	set_mac(i, mac);
}

static void add(struct finding *q, const char *name, const char *mac, const char *where)
{
	struct guest_facts *f = &q->g->facts;
	struct guest_iface *i = NULL, *given = NULL;
	struct guest_iface key = { .name = "" };

	for (int k = 0; k < q->n_given && *name; k++)
		if (!strcmp(q->given[k].name, name))
			given = &q->given[k];
	if (*name ? !given && !guest_net_physical(name) : !mac || !is_mac(mac))
		return;
	if (!*name)
		set_mac(&key, mac);
	for (int k = 0; k < f->n_ifaces && !i; k++)
		if (!strcmp(f->ifaces[k].name, name) &&
		    (*name || !strcmp(f->ifaces[k].mac, key.mac)))
			i = &f->ifaces[k];
	if (!i) {
		if (f->n_ifaces == GUEST_MAX_IFACES) {
			q->more = true;
			return;
		}
		i = &f->ifaces[f->n_ifaces++];
		memset(i, 0, sizeof(*i));
		snprintf(i->name, sizeof(i->name), "%s", name);
		snprintf(i->where, sizeof(i->where), "%s", where);
	}
	set_mac(i, mac);
	if (given)
		set_mac(i, given->mac);
	mac_of_name(i);
}

static void add_found(struct net_look *l, const char *name, const char *mac)
{
	add(l->ctx, name, mac, l->file);
}

static void name_stack(struct guest *g, const char *stack)
{
	size_t used = strlen(g->facts.stacks);

	if (!strstr(g->facts.stacks, stack))
		snprintf(g->facts.stacks + used, sizeof(g->facts.stacks) - used, "%s%s",
			used ? " " : "", stack);
}

static void give(struct finding *q, const char *name, const char *mac)
{
	struct guest_iface *i = &q->given[q->n_given];

	if (!*name || strlen(name) >= sizeof(i->name) || !is_mac(mac))
		return;
	if (q->n_given == GUEST_MAX_IFACES) {
		q->more = true;
		return;
	}
	memset(i, 0, sizeof(*i));
	memcpy(i->name, name, strlen(name) + 1);
	set_mac(i, mac);
	q->n_given++;
}

/* 70-persistent-net.rules */
static void given_by_rules(struct finding *q, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save)) {
		char *mac = strstr(line, "ATTR{address}==\""),
			*name = strstr(line, "NAME=\"");

		if (*line == '#' || !mac || !name)
			continue;
		mac += strlen("ATTR{address}==\"");
		name += strlen("NAME=\"");
		mac[strcspn(mac, "\"")] = '\0';
		name[strcspn(name, "\"")] = '\0';
		give(q, name, mac);
	}
}

static int on_names(void *ctx, const struct net_stack *s, const char *path, char *text,
	size_t len, struct err *err)
{
	char name[64], mac[32];

	(void)len;
	(void)err;
	if (!s && strstr(path, "persistent-net.rules"))
		given_by_rules(ctx, text);
	else if (s && guest_net_ends_with(path, ".link") &&
		guest_net_ini(text, "Link", "Name", name, sizeof(name)) &&
		(guest_net_ini(text, "Match", "MACAddress", mac, sizeof(mac)) ||
		guest_net_ini(text, "Match", "PermanentMACAddress", mac, sizeof(mac))))
		give(ctx, name, mac);
	return 0;
}

static int on_file(void *ctx, const struct net_stack *s, const char *path, char *text,
	size_t len, struct err *err)
{
	struct finding *q = ctx;
	struct net_look l = { .file = path, .add = add_found, .ctx = q };

	(void)err;
	if (s && s->look(&l, strrchr(path, '/') + 1, text, len))
		name_stack(q->g, s->name);
	return 0;
}

/* A profile by the address of an adapter that another one names says nothing new. */
static void drop_doubles(struct guest_facts *f)
{
	int n = 0;

	for (int i = 0; i < f->n_ifaces; i++) {
		bool known = false;

		for (int k = 0; k < f->n_ifaces && !*f->ifaces[i].name; k++)
			known |= *f->ifaces[k].name &&
				!strcmp(f->ifaces[k].mac, f->ifaces[i].mac);
		if (!known)
			f->ifaces[n++] = f->ifaces[i];
	}
	f->n_ifaces = n;
}

/* Those without a name last. */
static int by_name(const void *a, const void *b)
{
	const struct guest_iface *x = a, *y = b;

	if (!*x->name || !*y->name)
		return *x->name ? -1 : *y->name ? 1 : strcmp(x->mac, y->mac);
	return strverscmp(x->name, y->name);
}

int guest_find_ifaces(struct guest *g, struct err *err)
{
	struct finding q = { .g = g };

	if (guest_net_files(g, on_names, &q, err) < 0 ||
	    guest_net_files(g, on_file, &q, err) < 0)
		return -1;
	if (q.more)
		guest_report_warn(g, "the guest's configuration names more than %d adapters: the others are "
			"not looked at", GUEST_MAX_IFACES);
	drop_doubles(&g->facts);
	qsort(g->facts.ifaces, (size_t)g->facts.n_ifaces, sizeof(g->facts.ifaces[0]),
		by_name);
	return 0;
}
