/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cloud-init that has done its work must not do it again: on the target it finds another
 * data source or none, takes the guest for a new instance, makes new host keys and users,
 * and writes the network anew. Its own settings for that: network configuration off, and
 * the instance that it knows is trusted without asking the data source. A guest in which
 * it never ran, or is disabled, is left alone.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Read behind all others of the folder but those that begin with a later letter. */
#define CONFIG "/etc/cloud/cloud.cfg.d/99-target-worker.cfg"
#define INSTANCE "/var/lib/cloud/instance"

/* What an earlier run of ours wrote goes. */
static int open_door(struct guest *g, struct err *err)
{
	static const char why[] = "cloud-init may run anew, as the job asks";
	char real[FS_PATH_MAX], marker[FS_PATH_MAX + 16];
	struct stat st;

	if (fs_lstat(&g->root, CONFIG, &st))
		return 0;
	if (!guest_op_add(g, OP_REMOVE, CONFIG, NULL, why))
		return err_set(err, ERR_NOMEM, "plan %s: out of memory", CONFIG);
	if (!fs_is_file(&g->root, INSTANCE "/manual-clean"))
		return 0;
	if (fs_real(&g->root, INSTANCE, real, sizeof(real), err) < 0)
		return -1;
	snprintf(marker, sizeof(marker), "%s/manual-clean", real);
	return guest_op_add(g, OP_REMOVE, marker, NULL, why) ? 0 :
		err_set(err, ERR_NOMEM, "plan %s: out of memory", marker);
}

int guest_plan_cloud_init(struct guest *g, struct err *err)
{
	static const char text[] =
		"# The guest was moved, it is no new instance (target-worker).\n"
		"# Remove this file to let cloud-init look for its data source again.\n"
		"network: {config: disabled}\n"
		"manual_cache_clean: true\n";
	char real[FS_PATH_MAX], marker[FS_PATH_MAX + 16];

	if (!g->facts.cloud_init)
		return 0;
	if (g->opt->cloud_init_anew) {
		return open_door(g, err);
	}
	if (fs_is_file(&g->root, "/etc/cloud/cloud-init.disabled")) {
		guest_report_skip(g, g->step, "cloud-init is disabled in the guest");
		return 0;
	}
	if (!fs_is_dir(&g->root, INSTANCE)) {
		guest_report_skip(g, g->step,
			"cloud-init has not run in the guest yet; it will");
		return 0;
	}
	if (guest_op_write(g, CONFIG, text, strlen(text),
		"cloud-init keeps its instance and leaves the network alone", err) < 0 ||
		fs_real(&g->root, INSTANCE, real, sizeof(real), err) < 0)
		return -1;
	/* What its generator looks at, before any configuration is read. */
	snprintf(marker, sizeof(marker), "%s/manual-clean", real);
	return fs_is_file(&g->root, marker) ? 0 : guest_op_write(g, marker, "", 0,
		"cloud-init trusts the instance it knows", err);
}
