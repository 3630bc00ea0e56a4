/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A control group (cgroup v2) for one program and all that it starts, below the worker's
 * own group: no process leaves it without rights over the hierarchy. Where the kernel has
 * none, or the group is not ours to divide, the program runs without one.
 */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroup {
	int fd;          /* its folder, -1 = none */
	bool counts;     /* the kernel holds its number of threads below the limit */
	char path[512];
};
#define CGROUP_INIT { .fd = -1 }

/* Threads beyond max_tasks cannot be started; when its processes need more than
 * max_memory bytes all of them are killed. False: none could be made, for the reason in
 * the debug log. */
bool cgroup_make(struct cgroup *ret, unsigned max_tasks, uint64_t max_memory);
/* Moves the calling process into it; only async-signal-safe calls. -1 and errno. */
int cgroup_enter(const struct cgroup *c);
/* SIGKILL to all of its processes at once; nothing where the kernel cannot (before
 * 5.14). */
void cgroup_kill(const struct cgroup *c);
/* Whether a thread was refused to it, a process killed as its memory had run out. */
bool cgroup_was_full(const struct cgroup *c);
bool cgroup_ran_out(const struct cgroup *c);
/* Goes with its last process; waits up to 1 s for that. */
void cgroup_remove(struct cgroup *c);

#endif
