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
	return guest_net_ends_with(name, ".network") || guest_net_ends_with(name, ".netdev") ||
		guest_net_ends_with(name, ".link");
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	char device[64] = "", mac[32] = "";

	(void)len;
	if (!guest_net_ends_with(name, ".network"))
		return false;
	/* Close enough to shell values: a value that lists two names is no adapter's. */
	guest_shell_value(text, "Name", device, sizeof(device));
	guest_shell_value(text, "MACAddress", mac, sizeof(mac));
	l->add(l, device, mac);
	return true;
}

/* [Address] and a default [Route] of IPv4; fixed: one of them, or Address= in [Network]. */
static bool drop_section(const char *text, bool *fixed)
{
	char value[64] = "", to[64] = "";

	if (!strncmp(text, "[Address]", 9) && guest_shell_value(text, "Address", value, sizeof(value)) &&
		guest_net_is_v4(value, strlen(value)))
		return *fixed = true;
	return !strncmp(text, "[Route]", 7) &&
		guest_shell_value(text, "Gateway", value, sizeof(value)) &&
		guest_net_is_v4(value, strlen(value)) &&
		(!guest_shell_value(text, "Destination", to, sizeof(to)) || !strncmp(to, "0.0.0.0/0", 9));
}

/* All sections but those; dhcp: what [Network] says of it. False: out of memory. */
static bool sections(const char *text, size_t len, struct strbuf *out, bool *fixed, char dhcp[16])
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
			guest_shell_value(own, "DHCP", dhcp, 16);
			*fixed |= guest_shell_value(own, "Address", value, sizeof(value)) &&
				guest_net_is_v4(value, strlen(value));
		}
		if (!drop)
			strbuf_str(out, own);
		free(own);
	}
	return true;
}

static int address(const char *path, const char *text, size_t len, const struct net_want *w,
	struct strbuf *out)
{
	static const char *const keys[] = { "DHCP", "Address", "Gateway", "DNS", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT, kept = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char device[64] = "", mac[32] = "", dhcp[16] = "no";
	bool fixed = false, v4, v6;

	if (!guest_net_ends_with(path, ".network"))
		return 0;
	guest_shell_value(text, "Name", device, sizeof(device));
	guest_shell_value(text, "MACAddress", mac, sizeof(mac));
	if (!sections(text, len, &kept, &fixed, dhcp)) {
		out->failed = true;
		return 0;
	}
	v4 = !strcmp(dhcp, "yes") || !strcmp(dhcp, "true") || !strcmp(dhcp, "both") || !strcmp(dhcp, "1") ||
		!strcmp(dhcp, "ipv4") || !strcmp(dhcp, "v4");
	v6 = (v4 && !strchr(dhcp, '4')) || !strcmp(dhcp, "ipv6") || !strcmp(dhcp, "v6");
	if (!fixed && (w->all || !v4))
		return 0;
	if (!guest_net_wanted(w, device, mac))
		/* one for several adapters */
		return *device && !fnmatch(device, w->name, 0) ? -1 : 0;
	if (a->dhcp) {
		strbuf_fmt(&fresh, "DHCP=%s\n", v6 ? "yes" : "ipv4");
	} else {
		strbuf_fmt(&fresh, "DHCP=%s\nAddress=%s/%u\n", v6 ? "ipv6" : "no", a->address, a->prefix);
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
	.name = "networkd", .dirs = { "/etc/systemd/network" }, .mine = mine, .look = look,
	.address = address,
};
