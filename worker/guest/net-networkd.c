/* SPDX-License-Identifier: Apache-2.0 */
/* systemd-networkd's units, and the .link files of udev beside them. */
#include "guest/network-internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool mine(const char *name)
{
	return guest_net_ends_with(name, ".network") ||
		guest_net_ends_with(name, ".netdev") ||
		guest_net_ends_with(name, ".link");
}

/* What its [Match] says: lists, divided by blanks. */
static void identify(const char *text, char *names, char *macs, size_t size)
{
	*names = *macs = '\0';
	guest_net_ini(text, "Match", "Name", names, size);
	if (!guest_net_ini(text, "Match", "MACAddress", macs, size))
		guest_net_ini(text, "Match", "PermanentMACAddress", macs, size);
}

/* Whether the adapter is one of those that a list of patterns means. */
static bool one_of(const char *patterns, const char *name)
{
	char list[256], *save = NULL;

	snprintf(list, sizeof(list), "%s", patterns);
	for (char *p = strtok_r(list, " \t", &save); p; p = strtok_r(NULL, " \t", &save))
		if (!fnmatch(p, name, 0))
			return true;
	return false;
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	char names[256] = "", macs[256] = "", other[256];

	(void)len;
	if (!guest_net_ends_with(name, ".network"))
		return false;
	identify(text, names, macs, sizeof(names));
	/* Two names, or an address and a type: several adapters,
	 * or one by its address alone. */
	if (*names && !strpbrk(names, " \t"))
		l->add(l, names, strchr(macs, ' ') ? NULL : macs);
	else if (*names)
		guest_net_look_names(l, names);
	else if (!strchr(macs, ' ') &&
	    !guest_net_ini(text, "Match", "Type", other, sizeof(other)))
		l->add(l, "", macs);
	return true;
}

/* [Address] and a default [Route] of IPv4; fixed: one of them,
 * or Address= in [Network]. */
static bool drop_section(const char *text, bool *fixed)
{
	char value[64] = "", to[64] = "";

	if (!strncmp(text, "[Address]", 9) &&
		guest_net_ini(text, NULL, "Address", value, sizeof(value)) &&
		guest_net_is_v4(value, strlen(value)))
		return *fixed = true;
	return !strncmp(text, "[Route]", 7) &&
		guest_net_ini(text, NULL, "Gateway", value, sizeof(value)) &&
		guest_net_is_v4(value, strlen(value)) &&
		(!guest_net_ini(text, NULL, "Destination", to, sizeof(to)) ||
			!strncmp(to, "0.0.0.0/0", 9));
}

/* All sections but those; dhcp: what [Network] says of it. False: out of memory. */
static bool sections(const char *text, size_t len, struct strbuf *out, bool *fixed,
	char dhcp[16])
{
	for (const char *s = text, *end = text + len, *next; s < end; s = next) {
		const char *after = strstr(s + 1, "\n[");
		char value[64] = "";
		char *own;
		bool drop;

		next = after ? after + 1 : end;
		own = strndup(s, (size_t)(next - s));
		if (!own)
			return false;
		drop = drop_section(own, fixed);
		if (!strncmp(own, "[Network]", 9)) {
			guest_net_ini(own, NULL, "DHCP", dhcp, 16);
			*fixed |= guest_net_ini(own, NULL, "Address", value,
				sizeof(value)) &&
				guest_net_is_v4(value, strlen(value));
		}
		if (!drop)
			strbuf_str(out, own);
		free(own);
	}
	return true;
}

static int address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const keys[] = { "DHCP", "Address", "Gateway", "DNS", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT, kept = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char device[256], mac[256], dhcp[16] = "no";
	bool fixed = false, v4, v6;

	if (!guest_net_ends_with(path, ".network"))
		return 0;
	identify(text, device, mac, sizeof(device));
	if (!sections(text, len, &kept, &fixed, dhcp)) {
		out->failed = true;
		return 0;
	}
	v4 = !strcmp(dhcp, "yes") || !strcmp(dhcp, "true") || !strcmp(dhcp, "both") ||
		!strcmp(dhcp, "1") || !strcmp(dhcp, "ipv4") || !strcmp(dhcp, "v4");
	v6 = (v4 && !strchr(dhcp, '4')) || !strcmp(dhcp, "ipv6") || !strcmp(dhcp, "v6");
	if (!fixed && (w->all || !v4))
		return 0;
	if (!guest_net_wanted(w, device, mac))
		/* one for several adapters */
		return one_of(device, w->name) ? -1 : 0;
	if (a->dhcp) {
		strbuf_fmt(&fresh, "DHCP=%s\n", v6 ? "yes" : "ipv4");
	} else {
		strbuf_fmt(&fresh, "DHCP=%s\nAddress=%s/%u\n",
			v6 ? "ipv6" : "no", a->address, a->prefix);
		if (*a->gateway)
			strbuf_fmt(&fresh, "Gateway=%s\n", a->gateway);
		for (int i = 0; i < a->n_dns; i++)
			strbuf_fmt(&fresh, "DNS=%s\n", a->dns[i]);
	}
	guest_net_put_keys(kept.s, kept.len, "Network", keys, fresh.s, out);
	out->failed |= fresh.failed || kept.failed;
	return 1;
}

const struct net_stack guest_networkd = {
	.name = "networkd", .dirs = { "/etc/systemd/network" }, .mine = mine,
	.look = look, .address = address,
};
