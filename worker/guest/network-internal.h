/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configures the adapters of a guest: one file per stack, one line of net-stacks.c's
 * table. All texts are the guest's and hostile.
 */
#ifndef GUEST_NETWORK_INTERNAL_H
#define GUEST_NETWORK_INTERNAL_H

#include "guest/guest-internal.h"

struct net_look {
	const char *file; /* that is being looked at */
	/* name "" = for whatever has the mac; mac may be NULL */
	void (*add)(struct net_look *l, const char *name, const char *mac);
	void *ctx;
};

/* Whose IPv4 is changed to what. */
struct net_want {
	const struct guest_address *how;
	bool all;            /* every adapter that has a fixed address */
	const char *name;
	const char *macs[3]; /* old and new, "" = none */
};

struct net_stack {
	const char *name;
	const char *file;     /* one file, or */
	const char *dirs[2];  /* folders of them */
	bool deep;            /* the files lie one folder deeper */
	bool (*mine)(const char *name);
	/* Calls l->add for each adapter that the text speaks of; text may be changed.
	 * False: it says nothing about the stack being used. */
	bool (*look)(struct net_look *l, const char *name, char *text, size_t len);
	/* The text with the adapter's IPv4 changed: 1. 0: it has none of that adapter.
	 * -1: it has, in a form that cannot be edited. A text that is as it should be
	 * comes out as it is. */
	int (*address)(const char *path, const char *text, size_t len,
		const struct net_want *w, struct strbuf *out);
	/* What stands in other files; may be NULL. */
	int (*address_more)(struct guest *g, const char *path, const struct net_want *w,
		struct err *err);
};
extern const struct net_stack *const guest_net_stacks[]; /* NULL-terminated */
extern const struct net_stack guest_ifupdown, guest_ifupdown_parts, guest_ifcfg,
	guest_networkmanager, guest_netplan, guest_wicked, guest_networkd,
	guest_connman_config, guest_connman_services;

/* The name of an adapter, by how such names begin: not of a bond, a bridge or a VLAN. */
bool guest_net_physical(const char *name);
/* A value of an INI-like text, whole; section NULL = any. */
bool guest_net_ini(const char *text, const char *section, const char *key, char *ret,
	size_t size);
/* l->add for each word of a list of names. */
void guest_net_look_names(struct net_look *l, const char *names);
bool guest_net_ends_with(const char *s, const char *end);
/* Names that editors and package managers give to what they put aside. */
bool guest_net_leftover(const char *name);
/* l->add for a file of one adapter, whose name and MAC stand behind KEY=. */
void guest_net_look_keys(struct net_look *l, const char *text, const char *name_key,
	const char *mac_key);

/* Calls each file of all stacks with its text, and then udev's rules (stack NULL). An
 * unreadable one is a warning. */
int guest_net_files(struct guest *g, int (*each)(void *ctx, const struct net_stack *s,
	const char *path, char *text, size_t len, struct err *err), void *ctx,
	struct err *err);

/* net-mac.c: each old address of the map becomes the new one, comments and all else stay.
 * Written as aa:bb.., AA-BB.. or, between underscores, as twelve digits. Returns how
 * many. */
int guest_mac_rewrite(const char *s, size_t len, const struct guest_nic *map, int n,
	struct strbuf *out);
/* The same for all files of all stacks, and for files that have
 * the address in their name. */
int guest_plan_macs(struct guest *g, const struct guest_nic *map, int n, struct err *err);

/* net-netplan-address.c */
int guest_netplan_address(const char *path, const char *text, size_t len,
	const struct net_want *w, struct strbuf *out);

/* net-address.c: map as for guest_plan_macs; macs:
 * what each of the facts' adapters gets. */
int guest_plan_addresses(struct guest *g, const char (*macs)[18],
	const struct guest_nic *map, int n_map, struct err *err);
/* An IPv4 address, whatever follows it that is no letter, digit or colon. */
bool guest_net_is_v4(const char *s, size_t len);
bool guest_net_wanted(const struct net_want *w, const char *name, const char *mac);
void guest_net_mask(unsigned prefix, char ret[16]);
void guest_net_dns(const struct guest_address *a, const char *sep, struct strbuf *out);
/* Lines KEY=, KEY1= or KEY_1= of the section (NULL = of all) go unless they hold IPv6;
 * fresh, whole lines, comes where the first was, else at the section's end. */
void guest_net_put_keys(const char *s, size_t len, const char *section,
	const char *const *keys, const char *fresh, struct strbuf *out);

#endif
