/* SPDX-License-Identifier: Apache-2.0 */
/* NetworkManager's key files; before 1.20 their names had no ending. */
#include "guest/network-internal.h"

#include <string.h>

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

const struct net_stack guest_networkmanager = {
	.name = "networkmanager", .dirs = { "/etc/NetworkManager/system-connections" },
	.mine = mine, .look = look,
};
