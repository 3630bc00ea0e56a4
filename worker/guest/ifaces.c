/* SPDX-License-Identifier: Apache-2.0 */
/* The network adapters that the guest's configuration speaks of, in each of its stacks. */
#include "guest/network-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names of adapters; bridges, bonds and the like are made by the guest itself. */
static bool physical(const char *name)
{
	static const char *const starts[] = { "en", "eth", "em", "p1p", "p2p", "p3p", "p4p", "ib" };

	if (strlen(name) >= 16 || strpbrk(name, ".:@/*?[ "))
		return false;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (!strncmp(name, starts[i], strlen(starts[i])))
			return true;
	return false;
}

static bool is_mac(const char *s)
{
	for (int i = 0; i < 17; i++)
		if (i % 3 == 2 ? s[i] != ':' && s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	return !s[17];
}

static void add(struct guest *g, const char *name, const char *mac, const char *where)
{
	struct guest_facts *f = &g->facts;
	struct guest_iface *i = NULL;

	if (!physical(name))
		return;
	for (int k = 0; k < f->n_ifaces && !i; k++)
		if (!strcmp(f->ifaces[k].name, name))
			i = &f->ifaces[k];
	if (!i) {
		if (f->n_ifaces == GUEST_MAX_IFACES)
			return;
		i = &f->ifaces[f->n_ifaces++];
		memset(i, 0, sizeof(*i));
		snprintf(i->name, sizeof(i->name), "%s", name);
		snprintf(i->where, sizeof(i->where), "%s", where);
	}
	if (mac && is_mac(mac) && !i->mac[0])
		for (int k = 0; k < 18; k++)
			i->mac[k] = mac[k] == '-' ? ':' : (char)tolower((unsigned char)mac[k]);
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

/* Adapters that have a name by MAC address already: 70-persistent-net.rules. */
static void persistent_rules(struct guest *g, const char *path, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *mac = strstr(line, "ATTR{address}==\""), *name = strstr(line, "NAME=\"");

		if (*line == '#' || !mac || !name)
			continue;
		mac += strlen("ATTR{address}==\"");
		name += strlen("NAME=\"");
		mac[strcspn(mac, "\"")] = '\0';
		name[strcspn(name, "\"")] = '\0';
		/* only adds the address to names that a stack uses */
		for (int i = 0; i < g->facts.n_ifaces; i++)
			if (!strcmp(g->facts.ifaces[i].name, name))
				add(g, name, mac, path);
	}
}

static int on_file(void *ctx, const struct net_stack *s, const char *path, char *text, size_t len,
	struct err *err)
{
	struct guest *g = ctx;
	struct net_look l = { .file = path, .add = add_found, .ctx = g };

	(void)err;
	if (s && s->look(&l, strrchr(path, '/') + 1, text, len))
		name_stack(g, s->name);
	else if (!s && strstr(path, "persistent-net.rules"))
		persistent_rules(g, path, text);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct guest_iface *)a)->name,
		((const struct guest_iface *)b)->name);
}

int guest_find_ifaces(struct guest *g, struct err *err)
{
	if (guest_net_files(g, on_file, g, err) < 0)
		return -1;
	qsort(g->facts.ifaces, (size_t)g->facts.n_ifaces, sizeof(g->facts.ifaces[0]), by_name);
	return 0;
}
