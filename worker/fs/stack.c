/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of layers have in common: running their tools, and the way down. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "fs/fs-internal.h"

#define TOOL_S 120
#define MAX_REPORT (16u << 20)
#define REPORT_FD 3 /* as in run_tool's environment */

static const struct {
	const char *name, *tool, *needs, *needs_what;
	int (*close)(struct fs_stack *s, struct fs_layer *l, struct err *err);
} kinds[] = {
	[FS_LAYER_MD] = { "md", STACK_MDADM, "/proc/mdstat", "RAID (md)",
		fs_stack_md_close },
	[FS_LAYER_LVM] = { "lvm", STACK_LVM, "/dev/mapper/control", "device-mapper",
		fs_stack_lvm_close },
	[FS_LAYER_LUKS] = { "luks", STACK_CRYPTSETUP, "/dev/mapper/control",
		"device-mapper",
		fs_stack_luks_close },
};

const char *fs_layer_name(enum fs_layer_kind k)
{
	return kinds[k].name;
}

int fs_stack_able(enum fs_layer_kind k, struct err *err)
{
	/* The node of device-mapper may be there without the driver:
	 * only opening tells. */
	CLEANUP_CLOSE int fd = open(kinds[k].needs, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, ERR_PREP_UNSUPPORTED,
			"this machine's kernel has no %s", kinds[k].needs_what);
	if (access(kinds[k].tool, X_OK) < 0)
		return err_set(err, ERR_PREP_UNSUPPORTED, "this machine has no %s",
			kinds[k].tool);
	return 0;
}

struct call {
	struct fs_stack *s;
	void (*line)(void *ctx, const char *line);
	void *ctx;
	char last[256]; /* that is no warning */
	char report[40]; /* file for a report, "" = none is asked for */
};

int fs_stack_file(const void *buf, size_t len, struct err *err)
{
	int fd = memfd_create("stack", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, ERR_NOMEM, "a file in memory");
	if (fdio_write(fd, buf, len) < 0) {
		err_sys(err, ERR_NOMEM, "a file in memory");
		close(fd);
		return -1;
	}
	return fd;
}

void fs_stack_fd_name(int fd, char *ret, size_t size)
{
	snprintf(ret, size, "/proc/%d/fd/%d", (int)getpid(), fd);
}

/* In the child. */
static int open_report(void *arg)
{
	const struct call *c = arg;
	int fd;

	if (!*c->report)
		return 0;
	fd = open(c->report, O_WRONLY);
	return fd < 0 || (fd != REPORT_FD && dup2(fd, REPORT_FD) < 0);
}

static void on_line(void *arg, const char *line)
{
	struct call *c = arg;
	const char *said = line + strspn(line, " ");

	log_debug("stack: %s", line);
	if (*said && strncmp(said, "WARNING", 7))
		snprintf(c->last, sizeof(c->last), "%s", said);
	if (c->line)
		c->line(c->ctx, line);
}

static void on_tick(void *arg)
{
	const struct call *c = arg;

	if (c->s->tick)
		c->s->tick(c->s->ctx);
}

static int run_tool(struct call *c, const char *const *argv, char last[256],
	struct err *err)
{
	/* No lvm.conf of the machine, and no complaint about
	 * descriptors of the worker. */
	const char *env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		"LVM_SYSTEM_DIR=", "LVM_SUPPRESS_FD_WARNINGS=1",
		*c->report ? "LVM_REPORT_FD=3" : NULL, NULL };
	struct spawn_result result;
	struct spawn sp = { .argv = argv, .env = env, .timeout_s = TOOL_S,
		.cancel = c->s->cancel, .prepare = open_report,
		.line = on_line, .tick = on_tick, .ctx = c };

	if (spawn_run(&sp, &result, err) < 0)
		return -1;
	if (result.status && !*c->last)
		snprintf(c->last, sizeof(c->last), "%s ended with status %d", argv[0],
			result.status);
	if (last)
		memcpy(last, c->last, sizeof(c->last));
	return result.status;
}

int fs_stack_run(struct fs_stack *s, const char *const *argv,
	void (*line)(void *ctx, const char *line), void *ctx, char last[256],
	struct err *err)
{
	struct call c = { s, line, ctx, "", "" };

	return run_tool(&c, argv, last, err);
}

int fs_stack_report(struct fs_stack *s, const char *const *argv, struct strbuf *ret,
	char last[256], struct err *err)
{
	struct call c = { s, NULL, NULL, "", "" };
	CLEANUP_CLOSE int fd = fs_stack_file("", 0, err);
	CLEANUP_FREE char *text = NULL;
	size_t len;
	int status;

	if (fd < 0)
		return -1;
	fs_stack_fd_name(fd, c.report, sizeof(c.report));
	status = run_tool(&c, argv, last, err);
	if (status)
		return status;
	if (fdio_read_file(c.report, MAX_REPORT, &text, &len, err) < 0)
		return err_wrap(err, "report of %s", argv[0]);
	strbuf_add(ret, text, len);
	return ret->failed ? err_set(err, ERR_NOMEM, "report of %s: out of memory",
		argv[0]) : 0;
}

struct fs_layer *fs_stack_new(struct fs_stack *s, enum fs_layer_kind k,
	const char *const *devs, struct err *err)
{
	struct fs_layer *l = &s->layers[s->n];
	struct strbuf on = STRBUF_INIT;

	if (s->n == FS_STACK_MAX) {
		err_set(err, ERR_PREP_UNSUPPORTED,
			"more than %d arrays, volume groups and encrypted "
			"volumes", FS_STACK_MAX);
		return NULL;
	}
	memset(l, 0, sizeof(*l));
	l->kind = k;
	for (int i = 0; devs[i]; i++) {
		strbuf_str(&on, i ? "," : "");
		strbuf_str(&on, devs[i]);
	}
	if (on.failed || !on.s) {
		strbuf_free(&on);
		err_set(err, ERR_NOMEM, "open a volume: out of memory");
		return NULL;
	}
	l->on = on.s;
	return l;
}

void fs_stack_added(struct fs_stack *s)
{
	s->n++;
}

void fs_stack_drop(struct fs_layer *l)
{
	free(l->on);
	l->on = NULL;
}

int fs_stack_renamed(struct fs_stack *s, const char *from, const char *to,
	struct err *err)
{
	for (int i = 0; i < s->n; i++) {
		struct strbuf on = STRBUF_INIT;

		for (const char *p = s->layers[i].on; *p; p += *p == ',') {
			size_t n = strcspn(p, ",");
			bool is = n == strlen(from) && !strncmp(p, from, n);

			strbuf_str(&on, on.len ? "," : "");
			strbuf_add(&on, is ? to : p, is ? strlen(to) : n);
			p += n;
		}
		if (on.failed || !on.s) {
			strbuf_free(&on);
			return err_set(err, ERR_NOMEM, "rename a volume: out of memory");
		}
		free(s->layers[i].on);
		s->layers[i].on = on.s;
	}
	return 0;
}

int fs_stack_close(struct fs_stack *s, struct err *err)
{
	static const _Atomic bool never;
	struct err more = ERR_INIT; /* the first one counts */
	int result = 0;

	s->cancel = &never; /* what was opened is closed, whoever gave up */
	while (s->n) {
		struct fs_layer *l = &s->layers[--s->n];

		if (kinds[l->kind].close(s, l, result ? &more : err) < 0)
			result = -1;
		free(l->on);
		l->on = NULL;
	}
	return result;
}
