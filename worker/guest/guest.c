/* SPDX-License-Identifier: Apache-2.0 */
/* One run over a guest's disks: inspect, plan, apply, verify; or undo. */
#include "guest/guest-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_mount_point(struct guest *g, struct err *err)
{
	char real[FS_PATH_MAX];

	if (!realpath(g->opt->work_dir, real))
		return err_sys(err, ERR_INTERNAL, "work folder %s", g->opt->work_dir);
	if ((size_t)snprintf(g->at, sizeof(g->at), "%s/guest", real) >= sizeof(g->at))
		return err_set(err, ERR_INTERNAL, "work folder %s: name too long",
			g->opt->work_dir);
	if (mkdir(g->at, 0700) < 0 && errno != EEXIST)
		return err_sys(err, ERR_INTERNAL, "make %s", g->at);
	return 0;
}

/* Errors of the plan that say the guest cannot be made to boot. */
static bool hopeless(const struct err *err)
{
	return err->code != ERR_NOMEM && err->code != ERR_CANCELLED &&
		err->code != ERR_PREP_STUCK;
}

/* An interrupted undo left the guest neither as it was nor as it was prepared. */
static int finish_undo(struct guest *g, struct err *err)
{
	bool pending;

	if (guest_undo_pending(g, &pending, err) < 0)
		return -1;
	if (pending && g->opt->action != GUEST_APPLY)
		guest_report_warn(g, "an undo was interrupted: a preparation completes it first");
	if (!pending || g->opt->action != GUEST_APPLY)
		return 0;
	return guest_make_writable(g, err) < 0 || guest_undo_finish(g, err) < 0 ? -1 : 0;
}

static int prepare(struct guest *g, const char **ret_verdict, struct err *err)
{
	int reasons, hope;
	bool complete, apply;
	char dir[128];

	guest_report_step(g, "inspect", NULL);
	if (finish_undo(g, err) < 0 || guest_inspect(g, err) < 0)
		return -1;
	guest_report_step(g, "plan", NULL);
	if (guest_plan(g, err) < 0) {
		if (hopeless(err))
			guest_report_because(g, "%s", err->text);
		return -1;
	}
	hope = guest_check_hope(g, err);
	if (g->opt->action != GUEST_APPLY) {
		err_clear(err);
		reasons = guest_judge(g, err);
		if (reasons < 0)
			return -1;
		*ret_verdict = hope < 0 || (reasons && !g->n_ops) ? "does-not-boot" :
			g->n_ops ? "boots-after-preparation" : "boots";
		return 0;
	}
	if (hope < 0) {
		guest_report_because(g, "%s", err->text);
		return -1;
	}
	if (guest_journal_newest(g, dir, sizeof(dir), &complete, err) < 0)
		return -1;
	/* A preparation that was killed has to end, even with nothing left to change. */
	apply = g->n_ops || (*dir && !complete);
	if (apply && (guest_make_writable(g, err) < 0 || guest_apply(g, err) < 0))
		return -1;
	reasons = apply ? 0 : guest_judge(g, err);
	if (reasons < 0)
		return -1;
	if (reasons)
		return err_set(err, ERR_PREP_UNSUPPORTED,
			"nothing could be planned that would make "
			"the guest boot");
	*ret_verdict = "boots";
	return 0;
}

static int run(struct guest *g, const char **ret_verdict, struct err *err)
{
	int result;

	if (g->opt->rehearse) {
		guest_report_step(g, "rehearsal", "snapshots of the disks, in memory");
		if (guest_rehearse_begin(g, err) < 0)
			return -1;
	}
	if (guest_run_pre_mount(g, err) < 0)
		return -1;
	guest_report_step(g, "disks", NULL);
	if (guest_open_disks(g, err) < 0)
		return -1;
	guest_report_step(g, "layers", NULL);
	if (guest_open_layers(g, err) < 0 || guest_find_roots(g, err) < 0 ||
		guest_adopt_names(g, err) < 0)
		return -1;
	guest_report_step(g, "mount", g->vols[g->root_vol].fs.dev);
	result = guest_mount_tree(g, false, err);
	if (!result)
		result = g->opt->action == GUEST_UNDO ? guest_undo(g, err) :
			prepare(g, ret_verdict, err);
	return result;
}

static void free_guest(struct guest *g)
{
	for (int i = 0; i < g->n_ops; i++) {
		free(g->ops[i].path);
		free(g->ops[i].from);
		free(g->ops[i].why);
		free(g->ops[i].data);
	}
	free(g->ops);
	fs_inventory_free(g->before);
	guest_links_free(g);
	strbuf_free(&g->journal.text);
	free(g->contexts);
	free(g->aliases);
	yyjson_mut_doc_free(g->doc);
	free(g);
}

/* Everything that is open, downwards. The first error counts. */
static int close_guest(struct guest *g, int result, struct err *err)
{
	struct err late = ERR_INIT;

	if (guest_unmount(g, &late) < 0 && !result) {
		*err = late;
		result = -1;
	}
	/* The caller removes work_dir, and says so when it is not empty:
	 * a mount that stayed. */
	guest_close_packages(g);
	if (*g->at)
		rmdir(g->at);
	err_clear(&late);
	if (fs_stack_close(&g->stack, &late) < 0 && !result) {
		*err = late;
		result = -1;
	}
	guest_close_disks(g);
	err_clear(&late);
	if (g->rehearsal && guest_rehearse_end(g, &late) < 0 && !result) {
		*err = late;
		result = -1;
	}
	return result;
}

int guest_run(const struct guest_options *opt, struct strbuf *report, struct err *err)
{
	struct guest *g = calloc(1, sizeof(*g));
	const char *verdict = "does-not-boot";
	struct err late = ERR_INIT;
	int result;

	if (!g)
		return err_set(err, ERR_NOMEM, "prepare the guest: out of memory");
	g->opt = opt;
	g->root.fd = -1;
	g->root_vol = -1;
	g->packages.loop = (struct block_loop)BLOCK_LOOP_INIT;
	result = guest_report_begin(g, err);
	if (!result)
		result = make_mount_point(g, err);
	if (!result)
		result = run(g, &verdict, err);
	if (!result && opt->action == GUEST_UNDO)
		verdict = "undone";
	guest_report_step_end(g);
	if (g->rehearsal && !g->stuck &&
	    guest_rehearse_used(g, &g->rehearsed_bytes, &late) < 0) {
		/* memory that ran out is the cause of whatever else failed */
		*err = late;
		result = -1;
		verdict = "does-not-boot";
	}
	/* The report looks at free space, so it comes before the end of the mounts. */
	if (g->doc)
		guest_report_finish(g, verdict, result ? err : NULL, report);
	if (!g->stuck)
		result = close_guest(g, result, err);
	free_guest(g);
	if (!result && report && report->failed)
		return err_set(err, ERR_NOMEM, "write the report: out of memory");
	return result;
}
