/* SPDX-License-Identifier: Apache-2.0 */
/* The files of every network stack: which adapters they speak of,
 * and their addresses anew. */
#include "guest/network-internal.h"

#include "../test.h"

static const struct guest_nic map[] = {
	{ "52:54:00:aa:bb:01", "00:50:56:8C:00:01", "" },
	{ "52:54:00:aa:bb:02", "00:50:56:8c:00:02", "" },
	{ "52:54:00:aa:bb:03", "", "" },
};

static void addresses(const char *before, const char *after, int changes)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, again = STRBUF_INIT;

	CHECK_U64(guest_mac_rewrite(before, strlen(before), map, 3, &out), changes);
	strbuf_str(&out, "");
	CHECK_STR(out.s, after);
	CHECK_U64(guest_mac_rewrite(out.s, out.len, map, 3, &again), 0);
}

TEST(macs)
{
	addresses("DEVICE=ens192\nHWADDR=00:50:56:8C:00:01\n# was 00:50:56:8c:00:01\n",
		"DEVICE=ens192\nHWADDR=52:54:00:AA:BB:01\n# was 00:50:56:8c:00:01\n", 1);
	addresses("#00:50:56:8c:00:01\nHWADDR=\"00:50:56:8c:00:02\"",
		"#00:50:56:8c:00:01\nHWADDR=\"52:54:00:aa:bb:02\"", 1);
	addresses("[ethernet]\nmac-address=00-50-56-8C-00-01\nmac-address-blacklist=00:50:56:8c:00:02;\n",
		"[ethernet]\nmac-address=52-54-00-AA-BB-01\nmac-address-blacklist=52:54:00:aa:bb:02;\n", 2);
	addresses("      match:\n        macaddress: '00:50:56:8c:00:01'\n",
		"      match:\n        macaddress: '52:54:00:aa:bb:01'\n", 1);
	addresses("[Match]\nMACAddress=00:50:56:8c:00:01 00:50:56:8c:00:02\n",
		"[Match]\nMACAddress=52:54:00:aa:bb:01 52:54:00:aa:bb:02\n", 2);
	addresses("SUBSYSTEM==\"net\", ATTR{address}==\"00:50:56:8c:00:02\", NAME=\"eth1\"\n",
		"SUBSYSTEM==\"net\", ATTR{address}==\"52:54:00:aa:bb:02\", NAME=\"eth1\"\n", 1);
	addresses("/etc/sysconfig/network/ifcfg-eth-id-00:50:56:8c:00:01",
		"/etc/sysconfig/network/ifcfg-eth-id-52:54:00:aa:bb:01", 1);
	addresses("[ethernet_0050568c0001_cable]\n", "[ethernet_525400aabb01_cable]\n",
		1);
}

TEST(macs_left)
{
	/* another address, part of a longer one, digits that are none,
	 * an unfinished one */
	static const char text[] =
		"00:50:56:8c:00:11 01:00:50:56:8c:00:01 00:50:56:8c:00:01:02 "
		"x00:50:56:8c:00:01 0050568c0001 00:50:56-8c:00:01 00:50:56:8c:00:0";

	addresses(text, text, 0);
	addresses("", "", 0);
}

static void note(struct net_look *l, const char *name, const char *mac)
{
	char *s = l->ctx;

	/* what ifaces.c does not ask for is not listed */
	if (*name ? guest_net_physical(name) || !strcmp(name, "lan0") : mac && *mac)
		sprintf(s + strlen(s), "%s=%s ", name, mac ? mac : "");
}

static void look(const struct net_stack *s, const char *name, const char *text,
	const char *expected)
{
	char found[512] = "", *copy = strdup(text);
	struct net_look l = { .add = note, .ctx = found };

	s->look(&l, name, copy, strlen(copy));
	CHECK_STR(found, expected);
	free(copy);
}

TEST(stacks)
{
	look(&guest_ifcfg, "ifcfg-ens192",
		"HWADDR=\"00:50:56:8C:00:01\"\nBOOTPROTO=none\n",
		"ens192=00:50:56:8C:00:01 ");
	look(&guest_ifcfg, "ifcfg-System_x", "DEVICE='eth0'\n", "eth0= ");
	look(&guest_ifcfg, "ifcfg-eth-id-00:50:56:8c:00:01", "BOOTPROTO=static\n", "");
	look(&guest_networkmanager, "a", "[connection]\ninterface-name=ens3\n[ethernet]\n"
		"mac-address=00:50:56:8C:00:01\n", "ens3=00:50:56:8C:00:01 ");
	look(&guest_networkd, "1.network", "[Match]\nName=eth9\n", "eth9= ");
	look(&guest_networkd, "1.link",
		"[Match]\nMACAddress=00:50:56:8c:00:01\n[Link]\nName=eth9\n", "");
	look(&guest_connman_config, "a.config",
		"[service_x]\nType=ethernet\nDeviceName=eth2\n"
		"MAC=00:50:56:8c:00:01\n", "eth2=00:50:56:8c:00:01 ");
	look(&guest_netplan, "1.yaml",
		"network:\n  version: 2\n  ethernets:\n    ens160:\n"
		"      dhcp4: true\n    id0: # first\n      match:\n        macaddress: \"00:50:56:8c:00:01\"\n"
		"      set-name: eth0\n  vlans:\n    vlan5:\n      link: ens160\n",
		"ens160= eth0=00:50:56:8c:00:01 ");
}

#define MAC "00:50:56:8c:00:01"

TEST(ifcfg)
{
	/* NetworkManager's names for connections; what stands below VLANs,
	 * bonds and bridges */
	look(&guest_ifcfg, "ifcfg-Wired_1", "TYPE=Ethernet\nHWADDR=" MAC "\n",
		"=" MAC " ");
	look(&guest_ifcfg, "ifcfg-Wired_1", "NAME=x\nDEVICE=ens3\n", "ens3= ");
	look(&guest_ifcfg, "ifcfg-Bond_1", "TYPE=Bond\nHWADDR=" MAC "\n", "");
	look(&guest_ifcfg, "ifcfg-bond0", "DEVICE=bond0\nHWADDR=" MAC "\n", "");
	look(&guest_ifcfg, "ifcfg-ens192.5", "DEVICE=ens192.5\nVLAN=yes\n", "ens192= ");
	look(&guest_ifcfg, "ifcfg-vlan5", "DEVICE=vlan5\nPHYSDEV=ens192\nVLAN=yes\n",
		"ens192= ");
	look(&guest_ifcfg, "ifcfg-vlan5", "ETHERDEVICE='eth0'\nVLAN_ID='5'\n", "eth0= ");
	look(&guest_ifcfg, "ifcfg-bond0",
		"BONDING_MASTER='yes'\nBONDING_SLAVE0='eth0'\nBONDING_SLAVE_1='eth1'\n",
		"eth0= eth1= ");
	look(&guest_ifcfg, "ifcfg-br0", "BRIDGE='yes'\nBRIDGE_PORTS='eth0 eth1'\n",
		"eth0= eth1= ");
}

TEST(networkmanager)
{
	look(&guest_networkmanager, "a",
		"[connection]\ntype=ethernet\n[ethernet]\nmac-address=" MAC "\n",
		"=" MAC " ");
	look(&guest_networkmanager, "a",
		"[connection]\ntype = 802-3-ethernet\ninterface-name = eth0\n", "eth0= ");
	look(&guest_networkmanager, "a",
		"[connection]\ntype=ethernet\n[match]\ninterface-name=eth*;\n", "");
	look(&guest_networkmanager, "a",
		"[connection]\ntype=vlan\ninterface-name=v5\n[vlan]\nparent=ens192\n"
		"[ethernet]\nmac-address=" MAC "\n", "ens192= ");
}

TEST(networkd)
{
	look(&guest_networkd, "1.network", "[Match]\nName=ens192 ens224\n",
		"ens192= ens224= ");
	look(&guest_networkd, "1.network",
		"[Match]\nName = ens192\nMACAddress = " MAC "\n", "ens192=" MAC " ");
	look(&guest_networkd, "1.network", "[Match]\nPermanentMACAddress=" MAC "\n",
		"=" MAC " ");
	look(&guest_networkd, "1.network", "[Match]\nMACAddress=" MAC "\nType=vlan\n",
		"");
	look(&guest_networkd, "1.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\n",
		"");
}

TEST(netplan)
{
	static const char json[] =
		"{\"network\": {\"version\": 2, \"ethernets\": {\"ens3\": {\"dhcp4\": "
		"true, \"match\": {\"macaddress\": \"" MAC "\"}}, \"ens4\": {\"addresses\": "
		"[\"10.0.0.1/8\", {\"2001:db8::1/64\": {\"label\": \"x\"}}]}}}}\n";

	look(&guest_netplan, "1.yaml", json, "ens3=" MAC " ens4= ");
	look(&guest_netplan, "1.yaml",
		"network:\n  ethernets: {ens192: {dhcp4: true, match: {macaddress: '"
		MAC "'}}, # one\n    ens224: {}}\n  bonds: {bond0: {interfaces: [ens192]}}\n",
		"ens192=" MAC " ens224= ");
	look(&guest_netplan, "1.yaml",
		"network:\n  ethernets:\n    ens192: {dhcp4: no}\n    ens224: &b\n"
		"      dhcp4: no\n    ens256: *b\n  bonds:\n    bond0:\n      interfaces: [ens192]\n",
		"ens192= ens224= ens256= ");
	look(&guest_netplan, "1.yaml",
		"network:\n  ethernets:\n    lan:\n      match: {macaddress: " MAC "}\n"
		"    wan:\n      match:\n        name: ens256\n    all:\n      match: {name: \"en*\"}\n",
		"=" MAC " ens256= ");
	look(&guest_netplan, "1.yaml",
		"network:\n  ethernets:\n    lan:\n      match: {macaddress: " MAC "}\n"
		"      set-name: lan0\n      nameservers:\n        addresses: [\"2001:db8::1\"]\n", "lan0=" MAC " ");
	/* no end of a map, of a quote; a list where a map should be; nothing */
	look(&guest_netplan, "1.yaml", "network: {ethernets: {ens192: {dhcp4: true\n",
		"ens192= ");
	look(&guest_netplan, "1.yaml",
		"network:\n  ethernets:\n  - ens192\n  \"ens224: 5\n", "");
	look(&guest_netplan, "1.yaml", "ethernets: {{{{{{{{{{{{{{{{{{{{{{{{{{{{", "");
	look(&guest_netplan, "1.yaml", "", "");
}

TEST(others)
{
	look(&guest_ifupdown, "interfaces",
		"auto bond0\niface bond0 inet static\n\tbond-slaves ens192 ens224\n"
		"iface br0 inet dhcp\n bridge_ports eth2 none\niface vlan5 inet dhcp\n vlan-raw-device eth3\n",
		"ens192= ens224= eth2= eth3= ");
	look(&guest_ifupdown, "interfaces",
		"iface br1 inet manual\n\tbridge_ports none\n", "");
	look(&guest_wicked, "a.xml",
		"<interface>\n  <name>eth0</name>\n  <!-- <name>eth7</name> -->\n"
		"  <ipv4:static><address><local>10.0.0.1/8</local></address></ipv4:static>\n</interface>\n"
		"<interface><name namespace=\"ethernet\"><permanent-address>" MAC "</permanent-address></name>"
		"</interface><interface><name>v5</name><vlan><device> eth1 </device></vlan></interface>",
		"eth0= eth1= =" MAC " ");
	look(&guest_wicked, "a.xml", "<name>eth0", "");
	look(&guest_wicked, "a.xml", "<name", "");
}

TEST(stack_files)
{
	CHECK(guest_ifcfg.mine("ifcfg-eth0"));
	CHECK(!guest_ifcfg.mine("ifcfg-eth0.bak"));
	CHECK(!guest_ifcfg.mine("route-eth0"));
	CHECK(!guest_networkmanager.mine("wired.nmconnection~"));
	CHECK(guest_networkmanager.mine("Wired connection 1"));
	CHECK(!guest_netplan.mine("a.yaml.bak"));
	CHECK(guest_networkd.mine("10-x.link"));
}

static void address(const struct net_stack *s, const char *how, const char *text,
	const char *expected)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, again = STRBUF_INIT;
	struct guest_address a;
	struct net_want w = { .how = &a, .name = "eth0", .macs = { "", "", "" } };
	struct err err = ERR_INIT;
	int got;

	CHECK(!guest_address_parse("eth0", how, &a, &err));
	got = s->address("/etc/x/ifcfg-eth0.network", text, strlen(text), &w, &out);
	CHECK(got == (!expected ? -1 : *expected != '\0'));
	if (got != 1)
		return;
	CHECK_STR(out.s, expected);
	CHECK(s->address("/etc/x/ifcfg-eth0.network", out.s, out.len, &w, &again) == 1);
	CHECK_STR(again.s, out.s);
}

TEST(ipv4)
{
	address(&guest_ifupdown, "dhcp",
		"iface eth0 inet static\n  address 10.0.0.1/8\nauto eth0",
		"iface eth0 inet dhcp\nauto eth0\n");
	address(&guest_ifupdown, "dhcp",
		"iface eth0 inet manual\niface eth1 inet static\n", "");
	address(&guest_ifcfg, "10.0.0.2/8", "DEVICE=eth0\nBOOTPROTO=dhcp",
		"DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.0.0.2\nPREFIX=8\n");
	address(&guest_ifcfg, "dhcp", "DEVICE=eth0\nMASTER=bond0\n", "");
	address(&guest_networkmanager, "10.0.0.2/8,-,10.0.0.3",
		"[connection]\ninterface-name=eth0\n[ipv4]\nmethod=auto\n",
		"[connection]\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=10.0.0.2/8\n"
		"dns=10.0.0.3;\n");
	address(&guest_networkd, "10.0.0.2/8",
		"[Match]\nName=eth1 eth0\n[Network]\nDHCP=yes\n", NULL);
	address(&guest_networkd, "dhcp",
		"[Match]\nName = eth0\n[Network]\nAddress = 10.0.0.1/8\n",
		"[Match]\nName = eth0\n[Network]\nDHCP=ipv4\n");
	address(&guest_wicked, "dhcp", "<interface><name>eth0</name></interface>", NULL);
	address(&guest_wicked, "dhcp", "<interface><name>eth1</name></interface>", "");
	address(&guest_netplan, "dhcp", "ethernets:\n  eth0: &a\n    dhcp4: no\n", NULL);
	address(&guest_netplan, "dhcp",
		"ethernets:\n  eth0:\n    <<: *a\n    addresses: [10.0.0.1/8]\n", NULL);
	address(&guest_netplan, "dhcp", "ethernets:\n  eth0:\n    addresses: *a\n", NULL);
	address(&guest_networkd, "10.0.0.2/8",
		"[Match]\nName=eth*\n[Network]\nDHCP=yes\n", NULL);
	address(&guest_networkd, "10.0.0.2/8",
		"[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
		"[Match]\nName=eth0\n[Network]\nDHCP=ipv6\nAddress=10.0.0.2/8\n");
	address(&guest_networkd, "dhcp",
		"[Match]\nName=eth0\n[Address]\nAddress=10.0.0.1/8\n",
		"[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n");
	address(&guest_connman_config, "dhcp",
		"[service_a]\nDeviceName=eth0\nIPv4=10.0.0.1\n[service_b]\n", NULL);
	address(&guest_netplan, "10.0.0.2/8", "ethernets:\n  eth0:\n    dhcp4: yes",
		"ethernets:\n  eth0:\n    dhcp4: false\n    addresses: [\"10.0.0.2/8\"]\n");
	address(&guest_netplan, "dhcp", "ethernets:\n  eth0: {addresses: [10.0.0.1/8]}\n",
		NULL);
	address(&guest_netplan, "dhcp", "ethernets:\n  eth0:\n    addresses:\n"
		"    - 10.0.0.1/8:\n        label: x\n", NULL);
	address(&guest_netplan, "dhcp", "ethernets:\n  eth0:\n    dhcp6: true\n", "");
}

static void label(const char *path, unsigned mode, const char *expected)
{
	static const char text[] =
		"# policy\n"
		"/.*\tsystem_u:object_r:default_t:s0\n"
		"/etc(/.*)?\tsystem_u:object_r:etc_t:s0\n"
		"/etc/systemd/system(/.*)?\t--\tsystem_u:object_r:systemd_unit_file_t:s0\n"
		"/etc/fstab\t--\tsystem_u:object_r:etc_exact_t:s0\n"
		"/etc/fstab.*\tsystem_u:object_r:etc_late_t:s0\n"
		"/boot/initr(d|amfs).*\\.img\t--\tsystem_u:object_r:boot_t:s0\n"
		"/etc/a{1000}{1000}\tsystem_u:object_r:huge_t:s0\n"
		"/a?b/c\tsystem_u:object_r:optional_t:s0\n"
		"/etc/(\\1x\tsystem_u:object_r:broken_t:s0\n"
		"/proc/.*\t<<none>>\n";
	char got[128] = "";

	if (!guest_selinux_find(text, sizeof(text) - 1, path, mode, got, sizeof(got)))
		got[0] = '\0';
	CHECK_STR(got, expected);
}

TEST(labels)
{
	label("/etc/hosts", S_IFREG, "system_u:object_r:etc_t:s0");
	label("/etc/systemd/system/a.service", S_IFREG,
		"system_u:object_r:systemd_unit_file_t:s0");
	label("/etc/systemd/system/a.wants", S_IFDIR, "system_u:object_r:etc_t:s0");
	label("/etc/fstab", S_IFREG, "system_u:object_r:etc_exact_t:s0");
	label("/etc/fstab.old", S_IFREG, "system_u:object_r:etc_late_t:s0");
	label("/boot/initramfs-5.img", S_IFREG, "system_u:object_r:boot_t:s0");
	label("/boot/initramfs-5ximg", S_IFREG, "system_u:object_r:default_t:s0");
	label("/boot/initramfs-5.img.old", S_IFREG, "system_u:object_r:default_t:s0");
	label("/ab/c", S_IFREG, "system_u:object_r:optional_t:s0");
	label("/zz/b/c", S_IFREG, "system_u:object_r:default_t:s0");
	label("/proc/1", S_IFREG, "<<none>>");
	label("relative", S_IFREG, "");
}

/* They become names of files, and words in them. */
TEST(physical_names)
{
	static const char *const odd[] = { "eth0\n[Match]", "eth0\"", "eth0'x", "eth$(x)",
		"eth0=1", "eth0\\x", "en/../x", "eth0\tx", "eth0#" };

	CHECK(guest_net_physical("eth0") && guest_net_physical("enp0s31f6") &&
		guest_net_physical("em1") && guest_net_physical("enx005056aabbcc"));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		CHECK(!guest_net_physical(odd[i]));
}

static const struct test tests[] = {
	TEST_ENTRY(macs, "old addresses become new ones, as they were written"),
	TEST_ENTRY(macs_left, "what is no old address stays"),
	TEST_ENTRY(stacks, "adapters of each network stack"),
	TEST_ENTRY(ifcfg,
		"ifcfg: by the address alone, and what VLANs, bonds and bridges stand on"),
	TEST_ENTRY(networkmanager, "key files: by name, by address, by both, VLANs"),
	TEST_ENTRY(networkd, "units for several adapters, or for an address"),
	TEST_ENTRY(netplan, "netplan: flow style, JSON, anchors, match, what is broken"),
	TEST_ENTRY(others, "ifupdown's bonds, bridges and VLANs; wicked's XML"),
	TEST_ENTRY(stack_files, "files that a stack reads"),
	TEST_ENTRY(ipv4, "IPv4 of one adapter in each stack, and what is not edited"),
	TEST_ENTRY(labels, "labels by file_contexts"),
	TEST_ENTRY(physical_names, "an adapter's name is one word of letters and digits"),
};
TEST_MAIN(tests)
