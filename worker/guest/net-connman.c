/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connman: what an administrator provisions lies in NAME.config, what it learnt in a folder per
 * service, ethernet_MAC_cable/settings, whose group has the folder's name.
 */
#include "guest/network-internal.h"

#include <string.h>

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

const struct net_stack guest_connman_config = {
	.name = "connman", .dirs = { "/var/lib/connman" }, .mine = mine_config, .look = look,
};
const struct net_stack guest_connman_services = {
	.name = "connman", .dirs = { "/var/lib/connman" }, .deep = true, .mine = mine_settings,
	.look = look,
};
