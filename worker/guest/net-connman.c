/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connman: what an administrator provisions lies in NAME.config, what it learnt in a
 * folder per service, ethernet_MAC_cable/settings, whose group has the folder's name.
 */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static bool mine_config(const char *name)
{
	return guest_net_ends_with(name, ".config");
}

static bool mine_settings(const char *name)
{
	return !strcmp(name, "settings");
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	(void)name;
	(void)len;
	guest_net_look_keys(l, text, "DeviceName", "MAC");
	return true;
}

static bool several(const char *text)
{
	const char *first = strstr(text, "[service_");

	return first && strstr(first + 1, "[service_");
}

static int address_config(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const keys[] = { "IPv4", "Nameservers", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char device[64] = "", mac[32] = "", old[64] = "", mask[16];

	(void)path;
	guest_shell_value(text, "DeviceName", device, sizeof(device));
	guest_shell_value(text, "MAC", mac, sizeof(mac));
	if (several(text) && (w->all || strstr(text, w->name) ||
		(*w->macs[1] && strcasestr(text, w->macs[1]))))
		return -1;
	if (!guest_net_wanted(w, device, mac) ||
		!guest_shell_value(text, "IPv4", old, sizeof(old)) ||
		!strcmp(old, "off") || (w->all && !strcmp(old, "dhcp")))
		return 0;
	guest_net_mask(a->prefix, mask);
	if (a->dhcp)
		strbuf_str(&fresh, "IPv4=dhcp\n");
	else
		strbuf_fmt(&fresh, "IPv4=%s/%s%s%s\n", a->address, mask,
			*a->gateway ? "/" : "", a->gateway);
	if (a->n_dns) {
		strbuf_str(&fresh, "Nameservers=");
		guest_net_dns(a, ",", &fresh);
		strbuf_str(&fresh, "\n");
	}
	guest_net_put_keys(text, len, NULL, keys, fresh.s, out);
	out->failed |= fresh.failed;
	return 1;
}

/* The address is in the folder's name: ethernet_0050568c0001_cable. */
static void folder_mac(const char *path, char ret[32])
{
	const char *s = strstr(path, "/ethernet_");

	*ret = '\0';
	for (int i = 0; s && i < 6 && s[10 + 2 * i] && s[11 + 2 * i]; i++)
		snprintf(ret + 3 * i, 4, "%c%c%s", s[10 + 2 * i], s[11 + 2 * i],
			i < 5 ? ":" : "");
}

static int address_settings(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const keys[] = { "IPv4.method", "IPv4.netmask_prefixlen",
		"IPv4.local_address",
		"IPv4.gateway", "IPv4.DHCP.LastAddress", "Nameservers", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char mac[32], old[32] = "";

	folder_mac(path, mac);
	guest_shell_value(text, "IPv4.method", old, sizeof(old));
	if (!guest_net_wanted(w, "", mac) ||
	    (strcmp(old, "manual") && (w->all || strcmp(old, "dhcp"))))
		return 0;
	if (a->dhcp) {
		strbuf_str(&fresh, "IPv4.method=dhcp\n");
	} else {
		strbuf_fmt(&fresh, "IPv4.method=manual\nIPv4.netmask_prefixlen=%u\n"
			"IPv4.local_address=%s\n", a->prefix, a->address);
		if (*a->gateway)
			strbuf_fmt(&fresh, "IPv4.gateway=%s\n", a->gateway);
		if (a->n_dns) {
			strbuf_str(&fresh, "Nameservers=");
			guest_net_dns(a, ";", &fresh);
			strbuf_str(&fresh, ";\n");
		}
	}
	guest_net_put_keys(text, len, NULL, keys, fresh.s, out);
	out->failed |= fresh.failed;
	return 1;
}

const struct net_stack guest_connman_config = {
	.name = "connman", .dirs = { "/var/lib/connman" }, .mine = mine_config,
	.look = look, .address = address_config,
};
const struct net_stack guest_connman_services = {
	.name = "connman", .dirs = { "/var/lib/connman" }, .deep = true,
	.mine = mine_settings, .look = look, .address = address_settings,
};
