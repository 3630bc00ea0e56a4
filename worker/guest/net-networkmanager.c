/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkManager's key files; before 1.20 their names had no ending. */
#include "guest/network-internal.h"

#include <string.h>

#include "base/cleanup.h"

static bool mine(const char *name)
{
	return !guest_net_leftover(name);
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	(void)name;
	(void)len;
	guest_net_look_keys(l, text, "interface-name", "mac-address");
	return true;
}

static int address(const char *path, const char *text, size_t len, const struct net_want *w,
	struct strbuf *out)
{
	static const char *const keys[] = { "method", "address", "addresses", "gateway", "dns", NULL };
	CLEANUP_STRBUF struct strbuf fresh = STRBUF_INIT;
	const struct guest_address *a = w->how;
	char device[64] = "", mac[32] = "", method[32] = "";
	const char *section = strstr(text, "[ipv4]");

	(void)path;
	guest_shell_value(text, "interface-name", device, sizeof(device));
	guest_shell_value(text, "mac-address", mac, sizeof(mac));
	if (section) {
		const char *end = strstr(section + 1, "\n[");
		CLEANUP_FREE char *own = strndup(section, end ? (size_t)(end - section) : strlen(section));

		out->failed |= !own;
		if (own)
			guest_shell_value(own, "method", method, sizeof(method));
	}
	if (!guest_net_wanted(w, device, mac) || (strcmp(method, "manual") &&
		(w->all || strcmp(method, "auto"))))
		return 0;
	if (a->dhcp) {
		strbuf_str(&fresh, "method=auto\n");
	} else {
		strbuf_fmt(&fresh, "method=manual\naddress1=%s/%u%s%s\n", a->address, a->prefix,
			*a->gateway ? "," : "", a->gateway);
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
