/* SPDX-License-Identifier: Apache-2.0 */
/* The network adapters that the guest's configuration speaks of, in each of its stacks. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

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

/* "iface NAME ..." and "auto NAME..." of interfaces(5). */
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

struct look {
	struct guest *g;
	const char *dir, *file;
	struct err *err;
	bool found;
};

static void on_name(void *ctx, const char *name)
{
	struct look *l = ctx;

	add(l->g, name, NULL, l->file);
	l->found = true;
}

static int read_one(struct look *l, const char *path, char **ret, size_t *ret_len)
{
	int got = fs_read(&l->g->root, path, GUEST_TEXT_MAX, ret, ret_len, l->err);

	if (got >= 0)
		return got;
	/* One odd file must not stop the others from being read. */
	guest_report_warn(l->g, "%s", l->err->text);
	err_clear(l->err);
	return 1;
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n > k && !strcmp(s + n - k, end);
}

static int ifupdown_file(struct look *l, const char *path)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;

	if (read_one(l, path, &text, &len))
		return 0;
	l->file = path;
	guest_ifupdown_names(text, len, on_name, l);
	return 0;
}

static int ifupdown_part(void *ctx, const char *name, const struct stat *st)
{
	struct look *l = ctx;
	char path[FS_PATH_MAX];

	if (S_ISDIR(st->st_mode) || ends_with(name, "~") || ends_with(name, ".bak"))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	return ifupdown_file(l, path);
}

static int ifcfg(void *ctx, const char *name, const struct stat *st)
{
	struct look *l = ctx;
	CLEANUP_FREE char *text = NULL;
	char path[FS_PATH_MAX], device[64] = "", mac[32] = "";
	size_t len = 0;

	(void)st;
	if (strncmp(name, "ifcfg-", 6) || strchr(name, '~') || ends_with(name, ".bak"))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	if (read_one(l, path, &text, &len))
		return 0;
	if (!guest_shell_value(text, "DEVICE", device, sizeof(device)))
		snprintf(device, sizeof(device), "%.60s", name + 6);
	guest_shell_value(text, "HWADDR", mac, sizeof(mac));
	add(l->g, device, mac, path);
	l->found = true;
	return 0;
}

/* NetworkManager's key files and systemd-networkd's units are close enough to shell values. */
static int keyfile(void *ctx, const char *name, const struct stat *st)
{
	struct look *l = ctx;
	CLEANUP_FREE char *text = NULL;
	char path[FS_PATH_MAX], device[64] = "", mac[32] = "";
	size_t len = 0;

	(void)st;
	if (!ends_with(name, ".nmconnection") && !ends_with(name, ".network"))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	if (read_one(l, path, &text, &len))
		return 0;
	if (ends_with(name, ".network")) {
		guest_shell_value(text, "Name", device, sizeof(device));
		guest_shell_value(text, "MACAddress", mac, sizeof(mac));
	} else {
		guest_shell_value(text, "interface-name", device, sizeof(device));
		guest_shell_value(text, "mac-address", mac, sizeof(mac));
	}
	add(l->g, device, mac, path);
	l->found = true;
	return 0;
}

/* netplan: the keys right below "ethernets:", by their indentation, and a macaddress in them. */
static void netplan_text(struct look *l, char *text)
{
	int section = -1, level = -1;
	char *save = NULL, device[64] = "";

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int indent = (int)strspn(line, " ");
		char *s = line + indent, *colon = strchr(s, ':'), mac[32];

		if (!*s || *s == '#' || !colon)
			continue;
		if (section >= 0 && indent <= section)
			section = level = -1;
		if (!strncmp(s, "ethernets:", 10)) {
			section = indent;
		} else if (section >= 0 && (level < 0 || indent == level)) {
			level = indent;
			snprintf(device, sizeof(device), "%.*s", (int)(colon - s) < 60 ?
				(int)(colon - s) : 60, s);
			add(l->g, device, NULL, l->file);
		} else if (section >= 0 && !strncmp(s, "macaddress:", 11)) {
			snprintf(mac, sizeof(mac), "%.20s", s + 11 + strspn(s + 11, " \"'"));
			mac[strcspn(mac, " \"'")] = '\0';
			add(l->g, device, mac, l->file);
		}
	}
}

static int netplan(void *ctx, const char *name, const struct stat *st)
{
	struct look *l = ctx;
	CLEANUP_FREE char *text = NULL;
	char path[FS_PATH_MAX];
	size_t len = 0;

	(void)st;
	if (!ends_with(name, ".yaml"))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", l->dir, name);
	if (read_one(l, path, &text, &len))
		return 0;
	l->file = path;
	netplan_text(l, text);
	l->found = true;
	return 0;
}

/* Adapters that have a name by MAC address already: 70-persistent-net.rules. */
static void persistent_rules(struct guest *g, struct err *err)
{
	struct look l = { .g = g, .err = err };
	CLEANUP_FREE char *text = NULL;
	static const char path[] = "/etc/udev/rules.d/70-persistent-net.rules";
	char *save = NULL;
	size_t len = 0;

	if (read_one(&l, path, &text, &len))
		return;
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

static const struct {
	const char *stack, *dir;
	int (*look)(void *ctx, const char *name, const struct stat *st);
} stacks[] = {
	{ "ifupdown", "/etc/network/interfaces.d", ifupdown_part },
	{ "ifcfg", "/etc/sysconfig/network-scripts", ifcfg },
	{ "ifcfg", "/etc/sysconfig/network", ifcfg },
	{ "networkmanager", "/etc/NetworkManager/system-connections", keyfile },
	{ "netplan", "/etc/netplan", netplan },
	{ "networkd", "/etc/systemd/network", keyfile },
};

static void name_stack(struct guest *g, const char *stack)
{
	size_t used = strlen(g->facts.stacks);

	if (!strstr(g->facts.stacks, stack))
		snprintf(g->facts.stacks + used, sizeof(g->facts.stacks) - used, "%s%s",
			used ? " " : "", stack);
}

static int by_name(const void *a, const void *b)
{
	return strverscmp(((const struct guest_iface *)a)->name,
		((const struct guest_iface *)b)->name);
}

int guest_find_ifaces(struct guest *g, struct err *err)
{
	struct look l = { .g = g, .err = err };

	ifupdown_file(&l, "/etc/network/interfaces");
	if (l.found)
		name_stack(g, "ifupdown");
	for (size_t i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		l.dir = stacks[i].dir;
		l.found = false;
		if (fs_list(&g->root, stacks[i].dir, stacks[i].look, &l, err) < 0)
			return -1;
		if (l.found)
			name_stack(g, stacks[i].stack);
	}
	persistent_rules(g, err);
	qsort(g->facts.ifaces, (size_t)g->facts.n_ifaces, sizeof(g->facts.ifaces[0]), by_name);
	return 0;
}
