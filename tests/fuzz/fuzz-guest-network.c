/* SPDX-License-Identifier: Apache-2.0 */
/* Network configuration and SELinux policy of a hostile guest. */
#include <stdlib.h>
#include <string.h>

#include "guest/network-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct net_look *l, const char *name, const char *mac)
{
	(void)l;
	if (strlen(name) > 4096 || (mac && strlen(mac) > 64))
		abort();
}

/* Of its own, so that a read past the end is seen. */
static char *with_end(const char *s, size_t size)
{
	char *copy = malloc(size + 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, s, size);
	copy[size] = '\0';
	return copy;
}

static void address(const struct net_stack *stack, const char *s, size_t size)
{
	static const struct guest_address a[] = { { .who = "eth0", .dhcp = true },
		{ .who = "eth0", .address = "10.0.0.5", .prefix = 24,
			.gateway = "10.0.0.1",
			.dns = { "10.0.0.53" }, .n_dns = 1 } };

	for (int i = 0; i < 2; i++) {
		struct net_want w = { .how = &a[i], .name = "eth0",
			.macs = { "", "", "" } };
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
		char *copy = with_end(s, size);

		stack->address("/etc/sysconfig/network/ifcfg-eth0.network", copy, size,
			&w, &out);
		free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guest_nic map[] =
		{ { "52:54:00:aa:bb:01", "00:50:56:8c:00:01", "" } };
	CLEANUP_STRBUF struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;
	struct net_look l = { .add = add };
	const char *s = (const char *)data;
	char label[128];
	int n = guest_mac_rewrite(s, size, map, 1, &once);

	if (!n && (once.len != size || (size && memcmp(once.s, s, size))))
		abort();
	if (once.len != size ||
	    (size && guest_mac_rewrite(once.s, once.len, map, 1, &again)))
		abort();
	for (int i = 0; guest_net_stacks[i]; i++) {
		char *copy = with_end(s, size);

		guest_net_stacks[i]->look(&l, "ifcfg-a.network", copy, size);
		free(copy);
		address(guest_net_stacks[i], s, size);
	}
	guest_selinux_find(s, size, "/etc/systemd/network/a.link", S_IFREG, label,
		sizeof(label));
	return 0;
}
