/* SPDX-License-Identifier: Apache-2.0 */
/* ifcfg-NAME: of Red Hat's network-scripts, and of SUSE's ifup and wicked. */
#include "guest/network-internal.h"

#include <stdio.h>
#include <string.h>

static bool mine(const char *name)
{
	return !strncmp(name, "ifcfg-", 6) && !guest_net_leftover(name);
}

static bool look(struct net_look *l, const char *name, char *text, size_t len)
{
	static const char *const keys[] = { "HWADDR", "LLADDR" };
	char device[64] = "", mac[32] = "";

	(void)len;
	/* SUSE until 2009: ifcfg-eth-id-MAC */
	if (!strncmp(name, "ifcfg-eth-id-", 13))
		snprintf(mac, sizeof(mac), "%.31s", name + 13);
	for (size_t i = 0; i < 2 && !*mac; i++)
		guest_shell_value(text, keys[i], mac, sizeof(mac));
	if (!guest_shell_value(text, "DEVICE", device, sizeof(device)))
		snprintf(device, sizeof(device), "%.60s", name + 6);
	l->add(l, device, mac);
	return true;
}

const struct net_stack guest_ifcfg = {
	.name = "ifcfg", .dirs = { "/etc/sysconfig/network-scripts", "/etc/sysconfig/network" },
	.mine = mine, .look = look,
};
