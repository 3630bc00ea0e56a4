/* SPDX-License-Identifier: Apache-2.0 */
/* Network adapters, their addresses, routes, name servers. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

#define MAX_ADDRESSES 1024
#define RTF_UP_BIT 1u
/* ipv6_route: the machine's own addresses, which are listed anyway */
#define RTF_LOCAL6 0x80000000u
#define SCOPE_LINK6 0x20       /* if_inet6 */

struct address {
	char link[IF_NAMESIZE];
	char text[64]; /* ADDRESS/PREFIX */
};
struct addresses {
	struct address list[MAX_ADDRESSES];
	unsigned n;
};

static void add(struct addresses *all, const char *link, int family, const void *addr,
	unsigned prefix)
{
	char text[INET6_ADDRSTRLEN];

	if (all->n == MAX_ADDRESSES || !inet_ntop(family, addr, text, sizeof(text)))
		return;
	snprintf(all->list[all->n].link, IF_NAMESIZE, "%.15s", link);
	snprintf(all->list[all->n].text, sizeof(all->list[0].text), "%s/%u", text,
		prefix);
	all->n++;
}

static void live4(struct addresses *all)
{
	struct ifaddrs *list, *a;

	if (getifaddrs(&list) < 0)
		return;
	for (a = list; a; a = a->ifa_next) {
		const struct sockaddr_in *in = (const void *)a->ifa_addr;
		const struct sockaddr_in *mask = (const void *)a->ifa_netmask;
		char name[IF_NAMESIZE];

		if (!in || in->sin_family != AF_INET || !mask)
			continue;
		/* A label "eth0:1" belongs to eth0. */
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(a->ifa_name, ":"),
			a->ifa_name);
		add(all, name, AF_INET, &in->sin_addr,
			(unsigned)__builtin_popcount(mask->sin_addr.s_addr));
	}
	freeifaddrs(list);
}

/* A line of /proc/net/route; numbers are in the order of this machine's memory, the
 * address bytes in network order. */
static bool route4(const char *line, char link[64], uint32_t *dst, uint32_t *gw,
	unsigned *flags, unsigned *metric, uint32_t *mask)
{
	return sscanf(line, "%63s %x %x %x %*u %*u %u %x", link, dst, gw, flags, metric,
		mask) == 6 && *flags & RTF_UP_BIT;
}

#define FOR_LINES(p, text) \
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL)

/* Without netlink: the local addresses of fib_trie, each with the adapter and the prefix
 * of the network without gateway that it lies in. */
static void tree4(const struct capture_view *v, struct addresses *all)
{
	CLEANUP_FREE char *trie = capture_file(v, "/proc/net/fib_trie");
	CLEANUP_FREE char *routes = capture_file(v, "/proc/net/route");
	char text[32] = "", link[64];
	uint32_t dst, gw, mask, addr, done[64];
	unsigned flags, metric, n = 0, i;

	FOR_LINES(p, trie) {
		sscanf(p, " |-- %31s", text);
		if (strncmp(p + strspn(p, " "), "/32 host LOCAL", 14) ||
			inet_pton(AF_INET, text, &addr) != 1 || n == 64)
			continue;
		for (i = 0; i < n && done[i] != addr; i++)
			continue;
		if (i < n) /* the main and the local table list it */
			continue;
		done[n++] = addr;
		FOR_LINES(r, routes)
			if (route4(r, link, &dst, &gw, &flags, &metric, &mask) && !gw &&
				mask && (addr & mask) == dst) {
				add(all, link, AF_INET, &addr,
					(unsigned)__builtin_popcount(mask));
				break;
			}
	}
}

static void hex16(const char *hex, uint8_t ret[16])
{
	for (unsigned i = 0, b = 0; i < 16; i++) {
		if (sscanf(hex + 2 * i, "%2x", &b) != 1)
			b = 0;
		ret[i] = (uint8_t)b;
	}
}

static void all6(const struct capture_view *v, struct addresses *all)
{
	CLEANUP_FREE char *text = capture_file(v, "/proc/net/if_inet6");
	char hex[33], link[64];
	unsigned prefix, scope;
	uint8_t addr[16];

	FOR_LINES(p, text) {
		if (sscanf(p, "%32s %*x %x %x %*x %63s", hex, &prefix, &scope,
			link) != 4 || strlen(hex) != 32 || scope == SCOPE_LINK6)
			continue;
		hex16(hex, addr);
		add(all, link, AF_INET6, addr, prefix);
	}
}

static const char *kind_of(const struct capture_view *v, const char *name)
{
	static const char *const marks[][2] = { { "bridge", "bridge" },
		{ "bonding", "bond" },
		{ "tun_flags", "tun" }, { "wireless", "wireless" },
		{ "device", "adapter" } };

	if (capture_exists(v, "/proc/net/vlan/%s", name))
		return "vlan";
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (capture_exists(v, "/sys/class/net/%s/%s", name, marks[i][0]))
			return marks[i][1];
	return "virtual";
}

static void link_of(const struct capture_view *v, yyjson_mut_val *list, const char *name,
	const struct addresses *all)
{
	yyjson_mut_val *nic = yyjson_mut_arr_add_obj(v->doc, list), *addresses;
	char line[256];

	capture_put(v, nic, "name", name);
	capture_put(v, nic, "kind", kind_of(v, name));
	/* A port of a bond carries the bond's address; its own is kept there. */
	capture_line(v, line, sizeof(line), "/sys/class/net/%s/bonding_slave/perm_hwaddr",
		name);
	if (!*line)
		capture_line(v, line, sizeof(line), "/sys/class/net/%s/address", name);
	capture_put(v, nic, "mac", line);
	capture_link(v, line, sizeof(line), "/sys/class/net/%s/device/driver", name);
	capture_put(v, nic, "driver", line);
	capture_link(v, line, sizeof(line), "/sys/class/net/%s/device", name);
	capture_put(v, nic, "bus_address", line);
	capture_line(v, line, sizeof(line), "/sys/class/net/%s/operstate", name);
	capture_put(v, nic, "state", line);
	capture_line(v, line, sizeof(line), "/sys/class/net/%s/mtu", name);
	capture_put_number(v, nic, "mtu", line, 1);
	capture_link(v, line, sizeof(line), "/sys/class/net/%s/master", name);
	capture_put(v, nic, "master", line);
	addresses = yyjson_mut_obj_add_arr(v->doc, nic, "addresses");
	for (unsigned i = 0; i < all->n; i++)
		if (!strcmp(all->list[i].link, name))
			yyjson_mut_arr_add_strcpy(v->doc, addresses, all->list[i].text);
}

static void add_route(const struct capture_view *v, yyjson_mut_val *list, int family,
	const void *dst, unsigned prefix, const void *gw, const char *link,
	unsigned metric)
{
	static const uint8_t none[16];
	yyjson_mut_val *r = yyjson_mut_arr_add_obj(v->doc, list);
	char text[INET6_ADDRSTRLEN] = "", to[64];

	inet_ntop(family, dst, text, sizeof(text));
	snprintf(to, sizeof(to), "%s/%u", text, prefix);
	capture_put(v, r, "to", prefix ? to : "default");
	*text = '\0';
	if (memcmp(gw, none, family == AF_INET ? 4 : 16))
		inet_ntop(family, gw, text, sizeof(text));
	capture_put(v, r, "via", text);
	capture_put(v, r, "dev", link);
	yyjson_mut_obj_add_uint(v->doc, r, "metric", metric);
}

static void routes(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "routes");
	CLEANUP_FREE char *four = capture_file(v, "/proc/net/route");
	CLEANUP_FREE char *six = capture_file(v, "/proc/net/ipv6_route");
	unsigned flags, metric, prefix;
	char link[64], to[33], via[33];
	uint32_t dst, gw, mask;
	uint8_t a[16], b[16];

	FOR_LINES(p, four)
		if (route4(p, link, &dst, &gw, &flags, &metric, &mask))
			add_route(v, list, AF_INET, &dst,
				(unsigned)__builtin_popcount(mask), &gw, link, metric);
	FOR_LINES(p, six) {
		if (sscanf(p, "%32s %x %*s %*x %32s %x %*x %*x %x %63s", to, &prefix, via,
			    &metric, &flags, link) != 6 || strlen(to) != 32 ||
			    strlen(via) != 32 ||
			!(flags & RTF_UP_BIT) || flags & RTF_LOCAL6 ||
			!strcmp(link, "lo"))
			continue;
		hex16(to, a);
		hex16(via, b);
		/* multicast, link-local */
		if (a[0] == 0xff || (a[0] == 0xfe && a[1] == 0x80))
			continue;
		add_route(v, list, AF_INET6, a, prefix, b, link, metric);
	}
}

static void name_servers(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "name_servers");
	CLEANUP_FREE char *text = capture_file(v, "/etc/resolv.conf");
	char word[128];

	FOR_LINES(p, text)
		if (sscanf(p, "nameserver %127s", word) == 1)
			yyjson_mut_arr_add_val(list, capture_text(v, word));
}

void capture_network(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(v->doc, obj, "nics");
	struct addresses *all = calloc(1, sizeof(*all));
	CAPTURE_CLEANUP_NAMES struct capture_names names;

	capture_list(v, &names, "/sys/class/net");
	if (all && v->live)
		live4(all);
	else if (all)
		tree4(v, all);
	if (all)
		all6(v, all);
	/* bonding_masters is a file among them. */
	for (unsigned i = 0; all && i < names.n; i++)
		if (strcmp(names.name[i], "lo") &&
			capture_exists(v, "/sys/class/net/%s/address", names.name[i]))
			link_of(v, list, names.name[i], all);
	free(all);
	routes(v, obj);
	name_servers(v, obj);
}
