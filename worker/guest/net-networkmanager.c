/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkManager's key files; before 1.20 their names had no ending. */
#include "guest/network-internal.h"

#include <string.h>

#include "base/cleanup.h"

static bool mine(const char *name)
{
	return !guest_net_leftover(name);
}

static void identify(const char *text, char device[64], char mac[32])
{
	*device = *mac = '\0';
	guest_net_ini(text, "connection", "interface-name", device, 64);
	if (!guest_net_ini(text, "ethernet", "mac-address", mac, 32) &&
		!guest_net_ini(text, "802-3-ethernet", "mac-address", mac, 32))
		guest_net_ini(text, NULL, "mac-address", mac, 32);
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	char device[64], mac[32], type[32] = "";

	(void)name;
	(void)len;
	identify(text, device, mac);
	guest_net_ini(text, "connection", "type", type, sizeof(type));
	/* without a name it is for the adapter with the address; a VLAN's is its own */
	if (*device || strstr(type, "ethernet"))
		l->add(l, device, mac);
	if (guest_net_ini(text, NULL, "parent", device, sizeof(device)))
		l->add(l, device, NULL);
	return true;
}

static int address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out)
{
	static const char *const keys[] = { "method", "address", "addresses", "gateway",
		"dns", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char device[64], mac[32], method[32] = "";

	(void)path;
	identify(text, device, mac);
	guest_net_ini(text, "ipv4", "method", method, sizeof(method));
	if (!guest_net_wanted(w, device, mac) || (strcmp(method, "manual") &&
		(w->all || strcmp(method, "auto"))))
		return 0;
	if (a->dhcp) {
		strbuf_str(&fresh, "method=auto\n");
	} else {
		strbuf_fmt(&fresh, "method=manual\naddress1=%s/%u%s%s\n", a->address,
			a->prefix, *a->gateway ? "," : "", a->gateway);
		if (a->n_dns) {
			strbuf_str(&fresh, "dns=");
			guest_net_dns(a, ";", &fresh);
			strbuf_str(&fresh, ";\n");
		}
	}
	guest_net_put_keys(text, len, "ipv4", keys, fresh.s, out);
	out->failed |= fresh.failed;
	return 1;
}

const struct net_stack guest_networkmanager = {
	.name = "networkmanager", .dirs = { "/etc/NetworkManager/system-connections" },
	.mine = mine, .look = look, .address = address,
};
