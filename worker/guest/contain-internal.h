/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of the guest in their cell: what the parts of contain share. */
#ifndef GUEST_CONTAIN_INTERNAL_H
#define GUEST_CONTAIN_INTERNAL_H

#include <linux/filter.h>

#include "guest/guest-internal.h"

#define CONTAIN_MAX_NODES (3 * GUEST_MAX_VOLS + GUEST_MAX_DISKS + 8)
#define CONTAIN_FILTER_MAX 400

struct contain_node {
	char path[160];
	/* Names as udev makes them, "" = none. By number: dracut goes from a volume to
	 * what is below it on these. By UUID: else it would write this machine's names
	 * into the image. */
	char by_number[40], by_uuid[96];
	mode_t mode;
	dev_t dev;
};

/* All that the child needs, made before it is started: it only makes system calls. */
struct contain_cell {
	struct guest *g;
	const struct guest_run *run;
	const char *at;
	struct contain_node nodes[CONTAIN_MAX_NODES];
	int n_nodes;
	char *registers; /* of PCI devices: paths below /sys, each with its NUL, "" last */
	bool hide_firmware, is_32bit;
	struct sock_filter filter[CONTAIN_FILTER_MAX];
	size_t n_filter;
	size_t log_left; /* bytes of output that still go to the log */
};

/* contain-cell.c: fills the cell in the worker; -1 when memory runs out */
int guest_contain_fill(struct contain_cell *c, struct guest *g,
	const struct guest_run *run);
void guest_contain_free(struct contain_cell *c);

/* contain-tree.c, in the child: the guest's root becomes the only tree */
int guest_contain_tree(const struct contain_cell *c);

/* contain-rights.c, in the child; fail tells what, and returns -1 with errno as it was */
int guest_contain_fail(const char *what);
int guest_contain_drop(const struct contain_cell *c);

/* contain-filter.c: the program of seccomp(2). Returns its length. */
size_t guest_contain_filter(struct sock_filter ret[CONTAIN_FILTER_MAX]);

#endif
