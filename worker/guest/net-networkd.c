/* SPDX-License-Identifier: Apache-2.0 */
/* systemd-networkd's units, and the .link files of udev beside them. */
#include "guest/network-internal.h"

#include <string.h>

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

const struct net_stack guest_networkd = {
	.name = "networkd", .dirs = { "/etc/systemd/network" }, .mine = mine, .look = look,
};
