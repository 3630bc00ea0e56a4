/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The adapters of the target get the names that the guest's configuration uses. Names
 * come from firmware slots or PCI addresses, both different on KVM, so each is tied to a
 * MAC address: by a .link file where udev reads them, else by the older persistent rules.
 */
#include "guest/network-internal.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"

#define MAX_NICS 128

struct nic {
	char mac[18], old_mac[18], name[16];
	char sort[256]; /* bus path: adapters in the order of their slots */
	bool used;
};

static bool read_sys(const char *name, const char *file, char *ret, size_t size)
{
	char path[PATH_MAX];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, file);
	f = fopen(path, "re");
	if (!f || !fgets(ret, (int)size, f))
		return false;
	ret[strcspn(ret, "\n")] = '\0';
	return true;
}

static int by_slot(const void *a, const void *b)
{
	return strverscmp(((const struct nic *)a)->sort, ((const struct nic *)b)->sort);
}

/* This machine's adapters: those with a device behind them. */
static int own_nics(struct nic *ret)
{
	DIR *d = opendir("/sys/class/net");
	struct dirent *de;
	int n = 0;

	while (d && n < MAX_NICS && (de = readdir(d))) {
		char path[PATH_MAX], real[PATH_MAX];

		snprintf(path, sizeof(path), "/sys/class/net/%s/device", de->d_name);
		if (de->d_name[0] == '.' || !realpath(path, real))
			continue;
		memset(&ret[n], 0, sizeof(ret[n]));
		snprintf(ret[n].sort, sizeof(ret[n].sort), "%.255s", real);
		n += read_sys(de->d_name, "address", ret[n].mac, sizeof(ret[n].mac));
	}
	if (d)
		closedir(d);
	qsort(ret, (size_t)n, sizeof(*ret), by_slot);
	return n;
}

static int find_nics(const struct guest *g, struct nic *ret)
{
	int n = g->opt->in_target ? own_nics(ret) : 0;

	for (int i = 0; i < g->opt->n_nics; i++) {
		const struct guest_nic *o = &g->opt->nics[i];
		int k = 0;

		while (k < n && strcasecmp(ret[k].mac, o->mac))
			k++;
		if (k == MAX_NICS)
			break;
		if (k == n) {
			memset(&ret[n], 0, sizeof(ret[n]));
			for (int c = 0; o->mac[c]; c++)
				ret[n].mac[c] = (char)tolower((unsigned char)o->mac[c]);
			n++;
		}
		snprintf(ret[k].old_mac, sizeof(ret[k].old_mac), "%s", o->old_mac);
		snprintf(ret[k].name, sizeof(ret[k].name), "%s", o->name);
	}
	return n;
}

/* The adapter that takes an interface's place: in three rounds by the name that the job
 * gives it, by the address its configuration names, and else the next one that nobody
 * asked for. */
enum { BY_NAME, BY_MAC, BY_ORDER, N_ROUNDS };
static struct nic *pick(struct nic *nics, int n, const struct guest_iface *iface,
	int round)
{
	for (int i = 0; i < n; i++) {
		bool hit = true;

		if (round == BY_NAME)
			hit = *iface->name && !strcmp(iface->name, nics[i].name);
		else if (round == BY_MAC)
			hit = *iface->mac && (!strcasecmp(iface->mac, nics[i].mac) ||
				!strcasecmp(iface->mac, nics[i].old_mac));
		else
			hit = !*nics[i].name; /* it was asked for by a name
					       * that is not in the guest */
		if (hit && !nics[i].used)
			return &nics[i];
	}
	return NULL;
}

/* Which adapter each of the guest's gets. Returns how many by their order alone. */
static int match_nics(struct guest *g, struct nic *nics, int n, struct nic **taken)
{
	int guessed = 0;

	for (int round = 0; round < N_ROUNDS; round++)
		for (int i = 0; i < g->facts.n_ifaces; i++) {
			if (taken[i] ||
			    !(taken[i] = pick(nics, n, &g->facts.ifaces[i], round)))
				continue;
			taken[i]->used = true;
			guessed += round == BY_ORDER;
		}
	for (int i = 0; i < n; i++)
		if (*nics[i].name && !nics[i].used)
			guest_report_warn(g, "prepare.network: no configuration of the guest speaks of %s",
				nics[i].name);
	return guessed;
}

static void link_path(const char *name, char *ret, size_t size)
{
	snprintf(ret, size, "/etc/systemd/network/10-target-worker-%s.link", name);
}

static int write_link(struct guest *g, const char *name, const char *match,
	struct err *err)
{
	char path[128], text[512], why[128];

	link_path(name, path, sizeof(path));
	snprintf(why, sizeof(why), "the adapter keeps the name %s", name);
	/* Type=ether keeps VLANs and bonds, which share the address, out of it. */
	snprintf(text, sizeof(text), "# Keeps the adapter's name after the migration "
		"(target-worker).\n[Match]\n%s\nType=ether\n\n[Link]\nName=%s\n", match,
		name);
	return guest_op_write(g, path, text, strlen(text), why, err);
}

/* For udev without .link files (before 2013). Lines for the same name are replaced. */
static int write_rules(struct guest *g, const char names[][16], const char macs[][18],
	int n, struct err *err)
{
	static const char path[] = "/etc/udev/rules.d/70-persistent-net.rules";
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, full;

	if (guest_plan_read(g, path, &text, &len, err) < 0)
		return -1;
	for (size_t at = 0; at < len; at += full) {
		const char *nl = memchr(text + at, '\n', len - at);
		bool drop = false;

		full = nl ? (size_t)(nl + 1 - (text + at)) : len - at;
		for (int i = 0; i < n; i++) {
			char name[32];

			snprintf(name, sizeof(name), "NAME=\"%.15s\"", names[i]);
			drop |= text[at] != '#' &&
				memmem(text + at, full, name, strlen(name));
		}
		if (!drop)
			strbuf_add(&out, text + at, full);
	}
	for (int i = 0; i < n; i++)
		strbuf_fmt(&out, "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", "
			"ATTR{address}==\"%s\", ATTR{type}==\"1\", NAME=\"%s\"\n",
			macs[i], names[i]);
	if (out.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
	return guest_op_write(g, path, out.s, out.len, "adapters keep their names", err);
}

/* What the job says of old and new addresses,
 * and what the choice of adapters makes of the rest. */
static int plan_macs(struct guest *g, struct nic *const *taken, struct err *err)
{
	struct guest_nic map[MAX_NICS + GUEST_MAX_IFACES];
	char macs[GUEST_MAX_IFACES][18];
	int n = 0;

	for (int i = 0; i < g->opt->n_nics && i < MAX_NICS; i++)
		if (g->opt->nics[i].old_mac[0])
			map[n++] = g->opt->nics[i];
	for (int i = 0; i < g->facts.n_ifaces; i++) {
		const char *old = g->facts.ifaces[i].mac;

		if (!taken[i] || !*old || !strcasecmp(old, taken[i]->mac) ||
			!strcasecmp(old, taken[i]->old_mac))
			continue;
		snprintf(map[n].old_mac, sizeof(map[n].old_mac), "%s", old);
		snprintf(map[n++].mac, sizeof(map[0].mac), "%s", taken[i]->mac);
	}
	for (int i = 0; i < g->facts.n_ifaces; i++)
		snprintf(macs[i], sizeof(macs[i]), "%s", taken[i] ? taken[i]->mac : "");
	return guest_plan_macs(g, map, n, err) < 0 ? -1 :
		guest_plan_addresses(g, (const char (*)[18])macs, map, n, err);
}

int guest_plan_network(struct guest *g, struct err *err)
{
	const struct guest_facts *f = &g->facts;
	struct nic nics[MAX_NICS], *taken[GUEST_MAX_IFACES] = { NULL };
	char names[GUEST_MAX_IFACES][16], macs[GUEST_MAX_IFACES][18];
	int n = find_nics(g, nics), done = 0, guessed = match_nics(g, nics, n, taken);

	if (n == MAX_NICS)
		guest_report_warn(g, "only %d of this machine's adapters are looked at", n);
	if (guessed > 1)
		guest_report_warn(g, "%d adapters were matched to names by their order; say which is which "
			"in prepare.network, by the names", guessed);
	if (plan_macs(g, taken, err) < 0)
		return -1;
	for (int i = 0; i < f->n_ifaces; i++) {
		char match[64], path[128];

		link_path(f->ifaces[i].name, path, sizeof(path));
		if (!*f->ifaces[i].name) {
			if (!taken[i])
				guest_report_warn(g,
					"no adapter of the target for %s (%s)",
					f->ifaces[i].mac, f->ifaces[i].where);
			continue; /* whatever its name is */
		} else if (taken[i]) {
			snprintf(names[done], sizeof(names[done]), "%s",
				f->ifaces[i].name);
			snprintf(macs[done++], sizeof(macs[0]), "%s", taken[i]->mac);
			snprintf(match, sizeof(match), "MACAddress=%s", taken[i]->mac);
		} else if (fs_is_file(&g->root, path)) {
			continue; /* an earlier run knew the adapter */
		} else if (n || f->n_ifaces > 1 || !f->has_links) {
			guest_report_warn(g, "no adapter of the target for %s (%s)",
				f->ifaces[i].name, f->ifaces[i].where);
			continue;
		} else {
			/* Prepared elsewhere, one adapter:
			 * its driver is all that is known. */
			snprintf(match, sizeof(match), "Driver=virtio_net");
		}
		if (f->has_links && write_link(g, f->ifaces[i].name, match, err) < 0)
			return -1;
	}
	return f->has_links || !done ? 0 :
		write_rules(g, (const char (*)[16])names, (const char (*)[18])macs,
			done, err);
}
