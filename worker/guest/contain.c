/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of the guest run in the guest's root, which is the only tree they can see, in
 * mount, PID, network, IPC and UTS namespaces of their own: no network, no process of the
 * worker, no device but the usual five and the guest's own volumes. Capabilities that
 * reach the machine are dropped for good, and a filter refuses system calls that no tool
 * of packages needs. The end of the program, of its time, or more processes than any
 * tool needs, ends everything it started: it runs below a process 1 of ours, in a control
 * group where the kernel has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/cgroup.h"
#include "base/log.h"
#include "base/spawn.h"
#include "guest/contain-internal.h"

#define DEFAULT_TIMEOUT_S 900
/* a parallel build has tens; half of what a kernel with 128 MB allows */
#define MAX_TASKS 512
#define NICE 5
/* The log is kept in memory and goes out over a serial port of 11 KB/s. */
#define LOG_MAX (256u << 10)
/* The worker needs so much beside the tool. */
#define KEEP_MEMORY (8ull << 20)

/* In process 1 of the namespace, with all rights. */
static int enter_cell(void *arg)
{
	const struct contain_cell *c = arg;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* The worker's end is its end, and with it that of all others. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return guest_contain_fail("tie to the worker");
	/* The worker's watch comes first; without CAP_SYS_NICE there is no way back. */
	if (setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE) < 0)
		return guest_contain_fail("set its priority");
	/* When memory runs out, the guest's tool goes first. */
	if (fd >= 0 && (write(fd, "1000", 4) != 4 || close(fd) < 0))
		return guest_contain_fail("oom_score_adj");
	if (guest_contain_tree(c) < 0)
		return -1;
	if (sethostname("localhost", 9) < 0)
		return guest_contain_fail("sethostname");
	if (c->is_32bit)
		personality(PER_LINUX32);
	return 0;
}

static int confine_tool(void *arg)
{
	return guest_contain_drop(arg);
}

static void on_line(void *arg, const char *line)
{
	struct contain_cell *c = arg;
	size_t size = strlen(line) + 64; /* with its time, at each place it goes to */

	if (c->log_left >= size) {
		c->log_left -= size;
		log_info("guest: %s", line);
	} else if (c->log_left) {
		c->log_left = 0;
		log_warn("guest: the rest of the output is left out");
	}
}

/* A tool that hangs is ended by its limit; until then it counts as alive. */
static void on_tick(void *arg)
{
	const struct contain_cell *c = arg;

	if (c->g->opt->tick)
		c->g->opt->tick(c->g->opt->ctx);
}

/* Free memory and that of caches, of which more than that may go for nobody else. */
static uint64_t memory_for_tool(void)
{
	unsigned long long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");
	struct sysinfo si;
	uint64_t bytes;

	while (f && !kb && fgets(line, sizeof(line), f))
		sscanf(line, "MemAvailable: %llu", &kb);
	if (f)
		fclose(f);
	bytes = kb << 10;
	if (!bytes && !sysinfo(&si))
		bytes = (uint64_t)si.freeram * si.mem_unit;
	if (!bytes)
		return UINT64_MAX;
	return bytes > 2 * KEEP_MEMORY ? bytes - KEEP_MEMORY : bytes / 2;
}

static int run_contained(struct contain_cell *c, struct spawn_result *result,
	struct err *err)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
		"LANG=C", "LC_ALL=C", "TERM=dumb", "SHELL=/bin/sh",
		"DEBIAN_FRONTEND=noninteractive",
		"DEBCONF_NONINTERACTIVE_SEEN=true", "RUNLEVEL=1", "SYSTEMD_OFFLINE=1",
		NULL,
	};
	const struct guest_options *opt = c->g->opt;
	struct cgroup group;
	struct spawn sp = {
		.argv = c->run->argv, .env = env, .cancel = opt->cancel,
		.prepare = enter_cell, .confine = confine_tool, .line = on_line,
		.tick = on_tick, .ctx = c, .output = c->run->output,
		.output_max = c->run->output_max,
		.timeout_s = opt->tool_timeout_s ? opt->tool_timeout_s :
			DEFAULT_TIMEOUT_S,
		.clone_flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			CLONE_NEWUTS,
		.max_tasks = MAX_TASKS,
	};
	int rc;

	if (cgroup_make(&group, MAX_TASKS, memory_for_tool()))
		sp.group = &group;
	rc = spawn_run(&sp, result, err);
	cgroup_remove(&group);
	return rc;
}

int guest_contain(struct guest *g, const struct guest_run *run, int *ret_status,
	struct err *err)
{
	struct contain_cell *c;
	struct spawn_result result;
	int rc;

	if (guest_check_folders(g, err) < 0)
		return err_wrap(err, "run %s", run->argv[0]);
	c = calloc(1, sizeof(*c));
	if (!c || guest_contain_fill(c, g, run) < 0) {
		if (c)
			guest_contain_free(c);
		return err_set(err, ERR_NOMEM, "run %s: out of memory", run->argv[0]);
	}
	c->log_left = LOG_MAX;
	rc = run_contained(c, &result, err);
	guest_contain_free(c);
	if (rc < 0) {
		g->stuck = err->code == ERR_PREP_STUCK;
		return -1;
	}
	*ret_status = result.status;
	if (result.not_started)
		return err_set(err, ERR_INTERNAL, "run %s in the guest: %s", run->argv[0],
			result.last_line);
	if (result.status)
		log_warn("guest: %s ended with status %d", run->argv[0], result.status);
	return 0;
}
