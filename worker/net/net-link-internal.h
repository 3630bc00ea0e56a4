/* SPDX-License-Identifier: Apache-2.0 */
/* What link.c, net-link-rtnl.c and dhcp.c share. */
#ifndef NET_NET_LINK_INTERNAL_H
#define NET_NET_LINK_INTERNAL_H

#include "net/net.h"

/* net-link-rtnl.c: rtnetlink requests (rtnetlink(7)).
 * What is already as asked is success. */
int net_rtnl_up(const char *name, unsigned mtu, struct err *err); /* mtu 0 = leave */
/* address: "10.0.2.15/24" or "2001:db8::5/64". */
int net_rtnl_add_address(const char *name, const char *address, struct err *err);
/* A default route; its metric is the index of the link,
 * so that the first one is preferred. */
int net_rtnl_add_default(const char *name, const char *gateway, struct err *err);

/* dhcp.c */
/* Gets and keeps an IPv4 lease: the client stays in the background and renews it. */
int net_dhcp_start(const char *name, unsigned timeout_s, struct err *err);
/* Adds name servers to /etc/resolv.conf, in front of those already there. */
int net_dns_add(const char (*servers)[46], int n, struct err *err);

#endif
