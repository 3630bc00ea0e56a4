/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "net/net-link-internal.h"

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
	} u;
	char attrs[128];
};

static void begin(struct request *r, int type, int flags, size_t body)
{
	memset(r, 0, sizeof(*r));
	r->h.nlmsg_type = (uint16_t)type;
	r->h.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	r->h.nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
	r->h.nlmsg_seq = 1;
}

/* All attributes used here are small; the sum is far below sizeof(attrs). */
static void add_attr(struct request *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = (unsigned short)type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = (uint32_t)(NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len));
}

/* Sends the request and returns the kernel's errno, 0 on success. */
static int talk(const struct request *r)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	CLEANUP_CLOSE int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	union {
		struct nlmsghdr h;
		char space[8192];
	} answer;
	const struct nlmsgerr *e;
	ssize_t n;

	if (fd < 0)
		return errno;
	if (sendto(fd, r, r->h.nlmsg_len, 0, (struct sockaddr *)&kernel,
		sizeof(kernel)) < 0)
		return errno;
	do
		n = recv(fd, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno;
	if ((size_t)n < NLMSG_LENGTH(sizeof(*e)) || answer.h.nlmsg_type != NLMSG_ERROR)
		return EPROTO;
	e = NLMSG_DATA(&answer.h);
	return -e->error;
}

static int link_index(const char *name, struct err *err)
{
	unsigned i = if_nametoindex(name);

	if (!i)
		return err_sys(err, ERR_NET_NO_LINK, "%s", name);
	return (int)i;
}

/* "ADDRESS[/PREFIX]" in binary; returns the family.
 * Without a prefix *bits is the full length. */
static int parse(const char *text, unsigned char raw[16], unsigned *bits)
{
	char s[64];
	char *slash;
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	snprintf(s, sizeof(s), "%s", text);
	slash = strchr(s, '/');
	if (slash)
		*slash++ = '\0';
	*bits = slash ? (unsigned)strtoul(slash, NULL, 10) : family == AF_INET ? 32 : 128;
	return inet_pton(family, s, raw) == 1 && *bits <= 128 ? family : -1;
}

int net_rtnl_up(const char *name, unsigned mtu, struct err *err)
{
	struct request r;
	int index = link_index(name, err), e;

	if (index < 0)
		return -1;
	begin(&r, RTM_NEWLINK, 0, sizeof(r.u.link));
	r.u.link.ifi_index = index;
	r.u.link.ifi_flags = r.u.link.ifi_change = IFF_UP;
	if (mtu)
		add_attr(&r, IFLA_MTU, &mtu, sizeof(mtu));
	e = talk(&r);
	if (e)
		return err_set_at(err, ERR_NET_STATIC, e, __FILE__, __LINE__,
			"%s: bring up", name);
	return 0;
}

int net_rtnl_add_address(const char *name, const char *address, struct err *err)
{
	struct request r;
	unsigned char raw[16];
	unsigned bits;
	int index = link_index(name, err), family = parse(address, raw, &bits), e;
	size_t len = family == AF_INET ? 4 : 16;

	if (index < 0)
		return -1;
	if (family < 0)
		return err_set(err, ERR_NET_STATIC, "%s: \"%s\" is not an address", name,
			address);
	begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.u.addr));
	r.u.addr.ifa_family = (uint8_t)family;
	r.u.addr.ifa_prefixlen = (uint8_t)bits;
	r.u.addr.ifa_index = (uint32_t)index;
	/* Usable at once: the address was given to this machine by its operator. */
	r.u.addr.ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0;
	add_attr(&r, IFA_LOCAL, raw, len);
	add_attr(&r, IFA_ADDRESS, raw, len);
	if (family == AF_INET && bits < 31) {
		uint32_t all, a;

		memcpy(&a, raw, 4);
		all = a | htonl(0xffffffffu >> bits);
		add_attr(&r, IFA_BROADCAST, &all, 4);
	}
	e = talk(&r);
	if (e && e != EEXIST)
		return err_set_at(err, ERR_NET_STATIC, e, __FILE__, __LINE__,
			"%s: add address %s", name, address);
	return 0;
}

int net_rtnl_add_default(const char *name, const char *gateway, struct err *err)
{
	struct request r;
	unsigned char raw[16];
	unsigned bits;
	int index = link_index(name, err), family = parse(gateway, raw, &bits), e;
	uint32_t metric = (uint32_t)index;

	if (index < 0)
		return -1;
	if (family < 0)
		return err_set(err, ERR_NET_STATIC, "%s: \"%s\" is not an address", name,
			gateway);
	begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.u.route));
	r.u.route.rtm_family = (uint8_t)family;
	r.u.route.rtm_table = RT_TABLE_MAIN;
	r.u.route.rtm_protocol = RTPROT_BOOT;
	r.u.route.rtm_scope = RT_SCOPE_UNIVERSE;
	r.u.route.rtm_type = RTN_UNICAST;
	add_attr(&r, RTA_GATEWAY, raw, family == AF_INET ? 4 : 16);
	add_attr(&r, RTA_OIF, &index, sizeof(index));
	add_attr(&r, RTA_PRIORITY, &metric, sizeof(metric));
	e = talk(&r);
	if (e && e != EEXIST)
		return err_set_at(err, ERR_NET_STATIC, e, __FILE__, __LINE__,
			"%s: default route by %s", name, gateway);
	return 0;
}
