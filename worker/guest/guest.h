/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preparing a copied guest: inspect, plan, apply, verify; undo. Works on block devices
 * (or disk image files, through loop devices, where the running kernel can mount them).
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strbuf.h"

#define GUEST_MAX_DISKS 64

enum guest_action { GUEST_INSPECT, GUEST_DRY_RUN, GUEST_APPLY, GUEST_UNDO };

struct guest_nic {
	char mac[18];      /* of the target VM's adapter */
	char old_mac[18];  /* of the source's adapter it replaces; "" =
			    * the same, or not told */
	char name[16];     /* what the source calls that adapter; "" = not told */
};

/* IPv4 of an adapter of the guest: by DHCP, or this. */
#define GUEST_MAX_DNS 3
struct guest_address {
	char who[20];      /* its name in the guest, its old or new MAC
			    * address, or "all" */
	bool dhcp;
	char address[16], gateway[16]; /* gateway "" = none */
	unsigned prefix;
	char dns[GUEST_MAX_DNS][16];
	int n_dns;
};
/* how: "dhcp" or "ADDRESS/PREFIX[,GATEWAY[,DNS...]]", "-" for no gateway. */
int guest_address_parse(const char *who, const char *how, struct guest_address *ret,
	struct err *err);

/* The key of an encrypted volume, named by UUID or device, or of whichever it opens. */
struct guest_key {
	const char *device, *uuid; /* NULL or "" = not named that way */
	const void *secret;
	size_t len;
};

/* A script of the operator. In the worker it gets the disks as its arguments; in the
 * mounted guest it is contained as the guest's own programs are, or runs in the worker
 * with the folder of the guest's root as its argument; at the first boot the guest runs
 * it. */
enum guest_when { GUEST_PRE_MOUNT, GUEST_MOUNTED, GUEST_FIRST_BOOT,
	GUEST_MOUNTED_WORKER };
#define GUEST_WHENS { "pre-mount", "mounted", "first-boot", "mounted-worker", NULL }
struct guest_extension {
	enum guest_when when;
	const char *text;
	bool fatal; /* what fails ends the preparation; at the first
		     * boot, the scripts behind it */
};

/* Consoles that the target has not got are repaired in any case. */
enum guest_console { GUEST_CONSOLE_KEEP,
	GUEST_CONSOLE_SERIAL /* one more, on the serial port */ };

/* Paths that somebody changed after the preparation that is undone. */
enum guest_edited { GUEST_EDITED_REFUSE, /* nothing is undone */
	GUEST_EDITED_KEEP, GUEST_EDITED_RESTORE };
#define GUEST_EDITED_WORDS { "refuse", "keep", "restore", NULL }

struct guest_options {
	enum guest_action action;
	const char *const *disks;  /* paths, boot disk first; NULL-terminated */
	/* What the source called each ("sda"), NULL or "" = not known: which disk is
	 * meant by /dev/sdb1 in the guest's files. With no name known, their order tells.
	 * NULL = none is known. */
	const char *const *sources;
	const struct guest_key *keys; /* tried in this order */
	int n_keys;
	const char *root;          /* root chosen by the operator, "DEVICE[,subvol=NAME]";
				    * NULL = decide */
	const char *firmware;      /* of the target VM: "bios" or "uefi" */
	const struct guest_nic *nics;
	int n_nics;
	const struct guest_address *addresses;
	int n_addresses;
	const struct guest_extension *extensions; /* in this order */
	int n_extensions;
	bool in_target;            /* this machine is the target VM: its adapters, buses
				    * and firmware are those the guest will meet */
	bool firmware_stays;       /* the guest will start from it: one made
				    * for the other is refused */
	bool remove_tools;         /* default in the job: true */
	bool guest_agent;          /* qemu-guest-agent is wanted */
	const char *packages;      /* its packages: folder, disk or image; NULL = only
				    * from repositories */
	bool cloud_init_anew;      /* it may take the target for a new instance */
	bool relabel;              /* SELinux: all files, at the guest's first boot */
	enum guest_console console;
	bool rehearse;             /* GUEST_APPLY on snapshots of the disks in memory,
				    * then thrown away */
	enum guest_edited edited;  /* GUEST_UNDO */
	bool undo_earlier;         /* GUEST_UNDO: also those of an earlier migration */
	bool write_nvram;          /* Boot#### entry through efivarfs; only
				    * in the image */
	const char *work_dir;      /* existing directory on a RAM file
				    * system for mounts */
	unsigned tool_timeout_s;   /* limit for one command of the guest; 0 = 900 */
	/* One call per step, before it starts (done false) and after;
	 * from the calling thread. */
	void (*step)(void *ctx, const char *step, bool done, const char *detail);
	/* Something moved on (output of a guest tool, a file done):
	 * feeds the watchdog. */
	void (*tick)(void *ctx);
	void *ctx;
	const _Atomic bool *cancel; /* may be NULL */
};

/* report receives one JSON object in every case in which an inspection was possible, also
 * when -1 is returned: {verdict ("boots", "boots-after-preparation", "does-not-boot"),
 * because[], rehearsal {memory_bytes} (of one), facts, plan[{step, kind, path, why}],
 * changes[{path, change, sha256_before, sha256_after, backup}], unsaved[{path, change}]
 * (by the guest's own tools, and undo cannot take it back), edited[{path, change}] (of an
 * undo: after the preparation, by others), extensions[{index, when,
 * status, output}], skipped[{step, why}], warnings[], steps[{step, seconds}], backup,
 * error}. changes lists every path that differs from the copied guest, backups and
 * journal included. */
int guest_run(const struct guest_options *opt, struct strbuf *report, struct err *err);
/* The i-th family of systems that can be prepared, NULL behind the last. */
const char *guest_family_name(size_t i);

#endif
