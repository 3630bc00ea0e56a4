/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What configures the adapters of a guest: one file per stack, one line of net-stacks.c's table.
 * All texts are the guest's and hostile.
 */
#ifndef GUEST_NETWORK_INTERNAL_H
#define GUEST_NETWORK_INTERNAL_H

#include "guest/guest-internal.h"

struct net_look {
	const char *file; /* that is being looked at */
	void (*add)(struct net_look *l, const char *name, const char *mac); /* mac may be NULL */
	void *ctx;
};

struct net_stack {
	const char *name;
	const char *file;     /* one file, or */
	const char *dirs[2];  /* folders of them */
	bool deep;            /* the files lie one folder deeper */
	bool (*mine)(const char *name);
	/* Calls l->add for each adapter that the text speaks of; text may be changed. False: it says
	 * nothing about the stack being used. */
	bool (*look)(struct net_look *l, const char *name, char *text, size_t len);
};
extern const struct net_stack *const guest_net_stacks[]; /* NULL-terminated */
extern const struct net_stack guest_ifupdown, guest_ifupdown_parts, guest_ifcfg,
	guest_networkmanager, guest_netplan, guest_networkd, guest_connman_config,
	guest_connman_services;

bool guest_net_ends_with(const char *s, const char *end);
/* Names that editors and package managers give to what they put aside. */
bool guest_net_leftover(const char *name);
/* l->add for a file of one adapter, whose name and MAC stand behind KEY=. */
void guest_net_look_keys(struct net_look *l, const char *text, const char *name_key,
	const char *mac_key);

/* Calls each file of all stacks with its text, and then udev's rules (stack NULL). An unreadable
 * one is a warning. */
int guest_net_files(struct guest *g, int (*each)(void *ctx, const struct net_stack *s,
	const char *path, char *text, size_t len, struct err *err), void *ctx, struct err *err);

/* net-mac.c: each old address of the map becomes the new one, comments and all else stay. Written
 * as aa:bb.., AA-BB.. or, between underscores, as twelve digits. Returns how many. */
int guest_mac_rewrite(const char *s, size_t len, const struct guest_nic *map, int n,
	struct strbuf *out);
/* The same for all files of all stacks, and for files that have the address in their name. */
int guest_plan_macs(struct guest *g, const struct guest_nic *map, int n, struct err *err);

#endif
