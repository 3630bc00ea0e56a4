/* SPDX-License-Identifier: Apache-2.0 */
/* Mounted file systems that live on the served drives, private to serve/. */
#ifndef SERVE_MOUNTS_H
#define SERVE_MOUNTS_H

#include "serve/serve-internal.h"

#define SERVE_MAX_MOUNTS 64

enum serve_held { SERVE_NOT_HELD, SERVE_FROZEN, SERVE_READ_ONLY };

struct serve_mount {
	char point[256];
	unsigned long flags; /* MS_NOSUID and the like, for a remount */
	bool read_only;
	int fd;              /* of the mount point, open */
	enum serve_held held;
};

/* Deepest first, one entry a file system. Returns how many. */
int serve_mounts_find(const struct serve_drive *drives, int n,
	struct serve_mount ret[SERVE_MAX_MOUNTS]);
void serve_mounts_close(struct serve_mount *m, int n);
/* Undoes the \040 escapes of /proc/self/mountinfo in place. */
void serve_mounts_unescape(char *s);

#endif
