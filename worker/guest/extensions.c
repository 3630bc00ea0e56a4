/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operators' scripts: before the disks are opened, as a program of the worker; with the
 * guest mounted, before its initramfs is built, contained like the guest's own tools or
 * in the worker; and, by first-boot.c, when the guest starts. In the order of the job;
 * each has its exit status in the report.
 */
#include "guest/guest-internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/spawn.h"

#define OUTPUT_MAX 8192 /* of one script, in the report */

static const char *const whens[] = GUEST_WHENS;

/* What a script did, and whether that ends the preparation. */
static int finish(struct guest *g, int i, int status, const struct strbuf *output,
	struct err *err)
{
	const struct guest_extension *x = &g->opt->extensions[i];

	guest_report_extension(g, i, whens[x->when], status, output->s ? output->s : "");
	if (!status)
		return 0;
	if (x->fatal)
		return err_set(err, ERR_PREP_EXTENSION,
			"extensions[%d] (%s) ended with status %d", i, whens[x->when],
			status);
	guest_report_warn(g, "extensions[%d] (%s) ended with status %d", i,
		whens[x->when], status);
	return 0;
}

static void on_line(void *ctx, const char *line)
{
	const struct guest *g = ctx;

	log_info("extension: %s", line);
	if (g->opt->tick)
		g->opt->tick(g->opt->ctx);
}

static void on_tick(void *ctx)
{
	const struct guest *g = ctx;

	if (g->opt->tick)
		g->opt->tick(g->opt->ctx);
}

static int write_script(const char *path, const char *text, struct err *err)
{
	CLEANUP_CLOSE int fd =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0700);

	if (fd < 0 || fdio_write(fd, text, strlen(text)) < 0)
		return err_sys(err, ERR_INTERNAL, "write %s", path);
	return 0;
}

/* As a program of the worker; args end with NULL. */
static int run_outside(struct guest *g, int i, const char *const *args, struct err *err)
{
	CLEANUP_STRBUF struct strbuf output = STRBUF_INIT;
	char path[FS_PATH_MAX];
	const char *argv[GUEST_MAX_DISKS + 3] = { "/bin/sh", path };
	struct spawn sp = { .argv = argv, .cancel = g->opt->cancel, .line = on_line,
		.tick = on_tick,
		.ctx = g, .output = &output, .output_max = OUTPUT_MAX,
		.timeout_s = g->opt->tool_timeout_s ? g->opt->tool_timeout_s : 900 };
	struct spawn_result result;
	int rc;

	for (int k = 0; k < GUEST_MAX_DISKS && args[k]; k++)
		argv[k + 2] = args[k];
	if ((size_t)snprintf(path, sizeof(path), "%s/extension",
		g->opt->work_dir) >= sizeof(path))
		return err_set(err, ERR_INTERNAL, "%s: name too long", g->opt->work_dir);
	if (write_script(path, g->opt->extensions[i].text, err) < 0)
		return -1;
	rc = spawn_run(&sp, &result, err);
	if (unlink(path) < 0 && rc == 0)
		return err_sys(err, ERR_INTERNAL, "remove %s", path);
	return rc < 0 ? err_wrap(err, "extensions[%d]", i) :
		finish(g, i, result.status, &output, err);
}

int guest_run_pre_mount(struct guest *g, struct err *err)
{
	for (int i = 0; g->opt->action == GUEST_APPLY && i < g->opt->n_extensions; i++) {
		if (g->opt->extensions[i].when != GUEST_PRE_MOUNT)
			continue;
		guest_report_step(g, "extension", whens[GUEST_PRE_MOUNT]);
		if (run_outside(g, i, g->opt->disks, err) < 0)
			return -1;
	}
	return 0;
}

int guest_run_mounted(struct guest *g, int i, struct err *err)
{
	static const char *const argv[] = { "/bin/sh", "/run/target-worker-mask", NULL };
	CLEANUP_STRBUF struct strbuf output = STRBUF_INIT;
	/* in /run of its own, which no file of the guest is below */
	struct guest_run run = { .argv = argv,
		.masks = { { argv[1], g->opt->extensions[i].text } }, .output = &output,
		.output_max = OUTPUT_MAX };
	const char *const at[] = { g->at, NULL };
	int status;

	if (g->opt->extensions[i].when == GUEST_MOUNTED_WORKER)
		return run_outside(g, i, at, err);
	if (guest_contain(g, &run, &status, err) < 0)
		return err_wrap(err, "extensions[%d]", i);
	return finish(g, i, status, &output, err);
}

int guest_plan_extensions(struct guest *g, struct err *err)
{
	for (int i = 0; i < g->opt->n_extensions; i++) {
		bool worker = g->opt->extensions[i].when == GUEST_MOUNTED_WORKER;
		struct guest_op *op;

		if (g->opt->extensions[i].when != GUEST_MOUNTED && !worker)
			continue;
		op = guest_op_add(g, OP_SCRIPT, NULL, NULL,
			worker ? "extensions[%d] runs over the guest" :
			"extensions[%d] runs in the guest", i);
		if (!op)
			return err_set(err, ERR_NOMEM,
				"plan extensions[%d]: out of memory", i);
		op->index = i;
	}
	return guest_plan_first_boot(g, err);
}
