/* SPDX-License-Identifier: Apache-2.0 */
/* Network adapters: which there are, and bringing one up. */
#include <ctype.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "net/net-link-internal.h"

#define SYS_NET "/sys/class/net"
#define POLL_US 100000

/* One line of an attribute, without its newline. -1 when it cannot be read (a link that
 * is down answers EINVAL for carrier). */
static int read_attribute(const char *name, const char *attribute, char *ret, size_t size)
{
	char path[128];
	CLEANUP_FCLOSE FILE *f = NULL;

	snprintf(path, sizeof(path), SYS_NET "/%.15s/%s", name, attribute);
	f = fopen(path, "re");
	if (!f || !fgets(ret, (int)size, f))
		return -1;
	ret[strcspn(ret, "\n")] = '\0';
	return 0;
}

/* An adapter of this machine, or the inner end of a veth pair when the machine is a
 * container; not the dummies, bonds and bridges that a kernel may make by itself. */
static bool is_physical(const char *name)
{
	char path[128], type[16], index[16], peer[16];

	if (read_attribute(name, "type", type, sizeof(type)) < 0 ||
	    atoi(type) != ARPHRD_ETHER)
		return false;
	snprintf(path, sizeof(path), SYS_NET "/%.15s/device", name);
	if (access(path, F_OK) == 0)
		return true;
	return read_attribute(name, "ifindex", index, sizeof(index)) == 0 &&
		read_attribute(name, "iflink", peer, sizeof(peer)) == 0 &&
		strcmp(index, peer);
}

static bool has_carrier(const char *name)
{
	char text[8];

	return read_attribute(name, "carrier", text, sizeof(text)) == 0 && *text == '1';
}

static void fill(struct net_link *l, const char *name)
{
	char path[128], target[256];
	const char *driver;
	ssize_t n;

	memset(l, 0, sizeof(*l));
	snprintf(l->name, sizeof(l->name), "%s", name);
	if (read_attribute(name, "address", l->mac, sizeof(l->mac)) < 0)
		*l->mac = '\0';
	snprintf(path, sizeof(path), SYS_NET "/%.15s/device/driver", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		driver = strrchr(target, '/');
		snprintf(l->driver, sizeof(l->driver), "%.31s",
			driver ? driver + 1 : target);
	}
	l->carrier = has_carrier(name);
}

static unsigned prefix_of(const struct sockaddr *mask)
{
	const unsigned char *b = mask->sa_family == AF_INET ?
		(const void *)&((const struct sockaddr_in *)mask)->sin_addr :
		(const void *)&((const struct sockaddr_in6 *)mask)->sin6_addr;
	unsigned n, bits = 0;

	for (n = 0; n < (mask->sa_family == AF_INET ? 4u : 16u); n++)
		bits += (unsigned)__builtin_popcount(b[n]);
	return bits;
}

/* The first address of each family; of IPv6 only global ones. */
static void fill_address(struct net_link *l, const struct ifaddrs *a)
{
	char text[46];

	if (!a->ifa_addr || !a->ifa_netmask || strcmp(a->ifa_name, l->name))
		return;
	if (a->ifa_addr->sa_family == AF_INET && !*l->ipv4) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)a->ifa_addr)->sin_addr, text,
			sizeof(text));
		snprintf(l->ipv4, sizeof(l->ipv4), "%.15s/%u", text,
			prefix_of(a->ifa_netmask));
	} else if (a->ifa_addr->sa_family == AF_INET6 && !*l->ipv6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a->ifa_addr;

		if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
			return;
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(l->ipv6, sizeof(l->ipv6), "%s/%u", text,
			prefix_of(a->ifa_netmask));
	}
}

static int by_index(const void *a, const void *b)
{
	const struct net_link *x = a, *y = b;

	return (int)if_nametoindex(x->name) - (int)if_nametoindex(y->name);
}

int net_links(struct net_link *ret, int max, struct err *err)
{
	DIR *dir = opendir(SYS_NET);
	struct ifaddrs *all = NULL, *a;
	struct dirent *e;
	int n = 0, i;

	if (!dir)
		return err_sys(err, ERR_NET_NO_LINK, "open " SYS_NET);
	while ((e = readdir(dir))) {
		if (*e->d_name == '.' || !is_physical(e->d_name))
			continue;
		if (n < max)
			fill(&ret[n], e->d_name);
		n++;
	}
	closedir(dir);
	qsort(ret, (size_t)(n < max ? n : max), sizeof(*ret), by_index);
	if (getifaddrs(&all) < 0)
		return err_sys(err, ERR_NET_NO_LINK, "list addresses");
	for (a = all; a; a = a->ifa_next)
		for (i = 0; i < n && i < max; i++)
			fill_address(&ret[i], a);
	freeifaddrs(all);
	return n;
}

#define MAX_LINKS 32

/* The link that c means, or NULL while it is not there. Without a MAC: the only one, or
 * the first with a carrier. */
static const struct net_link *choose(const struct net_link *l, int n,
	const struct net_config *c)
{
	int i;

	for (i = 0; i < n && *c->mac; i++)
		if (!strcasecmp(l[i].mac, c->mac))
			return &l[i];
	if (*c->mac)
		return NULL;
	for (i = 0; i < n; i++)
		if (l[i].carrier)
			return &l[i];
	return n == 1 ? &l[0] : NULL;
}

/* A link shows its carrier only when it is up. */
static void raise_all(const struct net_link *l, int n, const struct net_config *c)
{
	struct err ignored = ERR_INIT;
	int i;

	for (i = 0; i < n; i++)
		if (!l[i].carrier && (!*c->mac || !strcasecmp(l[i].mac, c->mac)))
			net_rtnl_up(l[i].name, 0, &ignored);
}

static int find_link(const struct net_config *c, uint64_t deadline, struct net_link *ret,
	struct err *err)
{
	struct net_link links[MAX_LINKS];
	const struct net_link *l;
	int n, total;

	for (;;) {
		total = net_links(links, MAX_LINKS, err);
		if (total < 0)
			return -1;
		n = total < MAX_LINKS ? total : MAX_LINKS;
		raise_all(links, n, c);
		l = choose(links, n, c);
		if (l && l->carrier) {
			*ret = *l;
			return 0;
		}
		if (clock_now_ms() >= deadline)
			break;
		usleep(POLL_US);
	}
	if (l)
		return err_set(err, ERR_NET_NO_LINK, "%s (%s): no carrier", l->name,
			l->mac);
	if (*c->mac)
		return err_set(err, ERR_NET_NO_LINK,
			"no network adapter with MAC %s (%d there)", c->mac, total);
	return err_set(err, ERR_NET_NO_LINK, total ? "no network adapter has a carrier"
						   : "this machine has no network adapter");
}

/* Whether there is a global IPv6 address past duplicate address detection: before that
 * the kernel takes a link-local one as source, which no router brings an answer back to.
 * Lines of the file: address, index, prefix, scope, flags (IFA_F_*), name; all but the
 * name in hexadecimal. */
static bool has_global6(const char *name)
{
	CLEANUP_FCLOSE FILE *f = fopen("/proc/net/if_inet6", "re");
	char line[128], of[IFNAMSIZ];
	unsigned scope, flags;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*32s %*x %*x %x %x %15s", &scope, &flags, of) == 3 &&
			!strcmp(of, name) && !scope &&
			!(flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)))
			return true;
	return false;
}

/* Waits until the kernel has made an address from router advertisements. */
static int wait_slaac(const char *name, uint64_t deadline, struct err *err)
{
	while (!has_global6(name)) {
		if (clock_now_ms() >= deadline)
			return err_set(err, ERR_NET_DHCP,
				"%s: no IPv6 router advertisement, or its "
				"address is taken", name);
		usleep(POLL_US);
	}
	return 0;
}

static int configure(const struct net_config *c, const char *name, uint64_t deadline,
	struct err *err)
{
	uint64_t now = clock_now_ms();

	if (net_rtnl_up(name, c->mtu, err) < 0)
		return -1;
	if (*c->address4 && net_rtnl_add_address(name, c->address4, err) < 0)
		return -1;
	if (*c->gateway4 && net_rtnl_add_default(name, c->gateway4, err) < 0)
		return -1;
	if (*c->address6 && net_rtnl_add_address(name, c->address6, err) < 0)
		return -1;
	if (*c->gateway6 && net_rtnl_add_default(name, c->gateway6, err) < 0)
		return -1;
	if (c->dhcp4 && net_dhcp_start(name,
		    now < deadline ? (unsigned)((deadline - now) / 1000) : 1, err) < 0)
		return -1;
	if (c->slaac6 && wait_slaac(name, deadline, err) < 0)
		return -1;
	return net_dns_add(c->dns, 4, err);
}

int net_bring_up(const struct net_config *c, unsigned timeout_s, struct net_link *ret,
	struct err *err)
{
	uint64_t deadline = clock_now_ms() +
		(c->timeout_s ? c->timeout_s : timeout_s) * 1000ull;
	struct net_link links[MAX_LINKS], l;
	int i, n;

	if (find_link(c, deadline, &l, err) < 0 ||
	    configure(c, l.name, deadline, err) < 0)
		return -1;
	n = net_links(links, MAX_LINKS, err);
	if (n < 0)
		return -1;
	*ret = l;
	for (i = 0; i < n && i < MAX_LINKS; i++)
		if (!strcmp(links[i].name, l.name))
			*ret = links[i];
	return 0;
}
