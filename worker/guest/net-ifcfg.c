/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ifcfg-NAME: of Red Hat's network-scripts, and of SUSE's ifup and wicked. SUSE writes
 * the length of the prefix behind the address, and has routes and name servers in files
 * for all adapters.
 */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define SUSE "/etc/sysconfig/network/"

static bool mine(const char *name)
{
	return !strncmp(name, "ifcfg-", 6) && !guest_net_leftover(name);
}

static void identify(const char *name, const char *text, char device[64], char mac[32])
{
	static const char *const keys[] = { "HWADDR", "LLADDR" };

	*mac = '\0';
	/* SUSE until 2009: ifcfg-eth-id-MAC */
	if (!strncmp(name, "ifcfg-eth-id-", 13))
		snprintf(mac, 32, "%.31s", name + 13);
	for (size_t i = 0; i < 2 && !*mac; i++)
		guest_shell_value(text, keys[i], mac, 32);
	if (!guest_shell_value(text, "DEVICE", device, 64))
		snprintf(device, 64, "%.60s", name + 6);
}

/* Adapters that a VLAN, a bond or a bridge stands on; SUSE writes them into its file. */
static void look_below(struct net_look *l, const char *text, const char *device)
{
	static const char *const keys[] = { "PHYSDEV", "ETHERDEVICE", "BRIDGE_PORTS",
		"BONDING_SLAVE0",
		"BONDING_SLAVE1", "BONDING_SLAVE2", "BONDING_SLAVE3", "BONDING_SLAVE_0",
		"BONDING_SLAVE_1", "BONDING_SLAVE_2", "BONDING_SLAVE_3" };
	char value[256];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (guest_shell_value(text, keys[i], value, sizeof(value)))
			guest_net_look_names(l, value);
	/* eth0.5 */
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(device, "."), device);
	if (strchr(device, '.'))
		l->add(l, value, NULL);
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	char device[64], mac[32], type[32] = "";

	(void)len;
	identify(name, text, device, mac);
	guest_shell_value(text, "TYPE", type, sizeof(type));
	/* NetworkManager names files by its connections,
	 * which may have nothing but the address */
	if (!guest_shell_value(text, "DEVICE", device, sizeof(device)) &&
		!guest_net_physical(device) && strncmp(name, "ifcfg-eth-id-", 13) &&
		(!*type || !strcmp(type, "Ethernet")))
		*device = '\0';
	l->add(l, device, mac);
	look_below(l, text, device);
	return true;
}

/* DNS1=, ... with numbers that no line for IPv6 has. */
static void name_servers(const char *text, const struct guest_address *a,
	struct strbuf *out)
{
	for (int i = 0, n = 1; i < a->n_dns; n++) {
		char key[16], value[64];

		snprintf(key, sizeof(key), "DNS%d", n);
		if (!guest_shell_value(text, key, value, sizeof(value)) ||
		    !strchr(value, ':'))
			strbuf_fmt(out, "%s=%s\n", key, a->dns[i++]);
	}
}

static int address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const keys[] = { "BOOTPROTO", "IPADDR", "NETMASK", "PREFIX",
		"PREFIXLEN",
		"GATEWAY", "BROADCAST", "NETWORK", "DNS", NULL };
	static const char *const first[] = { "IPADDR", "IPADDR0", "IPADDR1", "IPADDR_0" };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT;
	const struct guest_address *a = w->how;
	bool suse = !strncmp(path, SUSE, strlen(SUSE)), fixed = false;
	char device[64], mac[32], value[64] = "";

	identify(strrchr(path, '/') + 1, text, device, mac);
	for (size_t i = 0; i < 4; i++)
		fixed |= guest_shell_value(text, first[i], value, sizeof(value)) &&
			*value;
	if (!guest_net_wanted(w, device, mac) || (!fixed && (w->all ||
		!guest_shell_value(text, "BOOTPROTO", value, sizeof(value)) ||
		strncmp(value, "dhcp", 4))))
		return 0;
	if (a->dhcp)
		strbuf_str(&fresh, suse ? "BOOTPROTO='dhcp'\n" : "BOOTPROTO=dhcp\n");
	else if (suse)
		strbuf_fmt(&fresh, "BOOTPROTO='static'\nIPADDR='%s/%u'\n", a->address,
			a->prefix);
	else
		strbuf_fmt(&fresh, "BOOTPROTO=none\nIPADDR=%s\nPREFIX=%u\n", a->address,
			a->prefix);
	if (!a->dhcp && !suse && *a->gateway)
		strbuf_fmt(&fresh, "GATEWAY=%s\n", a->gateway);
	if (!a->dhcp && !suse)
		name_servers(text, a, &fresh);
	guest_net_put_keys(text, len, NULL, keys, fresh.s, out);
	out->failed |= fresh.failed;
	return 1;
}

/* routes: DESTINATION GATEWAY [NETMASK [ADAPTER]]. The default one of IPv4 is anew. */
static void routes(const char *s, size_t len, const char *device, const char *gateway,
	struct strbuf *out)
{
	for (size_t at = 0, full; at < len; at += full) {
		const char *nl = memchr(s + at, '\n', len - at);
		char line[256], to[64] = "", via[64] = "", mask[64] = "-", dev[64] = "-";

		full = nl ? (size_t)(nl + 1 - (s + at)) : len - at;
		snprintf(line, sizeof(line), "%.*s", (int)(full < 255 ? full : 255),
			s + at);
		sscanf(line, "%63s %63s %63s %63s", to, via, mask, dev);
		if ((!strcmp(to, "default") || !strcmp(to, "0.0.0.0/0")) &&
			guest_net_is_v4(via, strlen(via)) &&
			(!strcmp(dev, "-") || !strcmp(dev, device)))
			continue;
		strbuf_add(out, s + at, full);
		if (!nl)
			strbuf_str(out, "\n");
	}
	if (*gateway)
		strbuf_fmt(out, "default %s - -\n", gateway);
}

static int plan_routes(struct guest *g, const char *path, const char *device,
	const char *gateway, struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int got = guest_plan_read(g, path, &text, &len, err);

	if (got < 0 || (got && !*gateway))
		return got < 0 ? -1 : 0;
	routes(text ? text : "", len, device, gateway, &out);
	if (out.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", path);
	return guest_op_write(g, path, out.s ? out.s : "", out.len, "the default route",
		err);
}

static int address_more(struct guest *g, const char *path, const struct net_want *w,
	struct err *err)
{
	static const char config[] = SUSE "config",
		*const keys[] = { "NETCONFIG_DNS_STATIC_SERVERS", NULL };
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, fresh = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	char own[FS_PATH_MAX + 32], device[64];
	size_t len = 0;

	if (strncmp(path, SUSE, strlen(SUSE)))
		return 0;
	snprintf(device, sizeof(device), "%.60s", strrchr(path, '/') + 7);
	snprintf(own, sizeof(own), SUSE "ifroute-%s", device);
	if (plan_routes(g, own, device, "", err) < 0 ||
		plan_routes(g, SUSE "routes", device, w->how->gateway, err) < 0)
		return -1;
	if (w->how->dhcp || !w->how->n_dns)
		return 0;
	if (guest_plan_read(g, config, &text, &len, err) < 0)
		return -1;
	strbuf_str(&fresh, "NETCONFIG_DNS_STATIC_SERVERS=\"");
	guest_net_dns(w->how, " ", &fresh);
	strbuf_str(&fresh, "\"\n");
	guest_net_put_keys(text ? text : "", len, NULL, keys, fresh.s, &out);
	if (out.failed || fresh.failed)
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", config);
	return guest_op_write(g, config, out.s, out.len, "the name servers", err);
}

const struct net_stack guest_ifcfg = {
	.name = "ifcfg",
	.dirs = { "/etc/sysconfig/network-scripts", "/etc/sysconfig/network" },
	.mine = mine, .look = look, .address = address, .address_more = address_more,
};
