/* SPDX-License-Identifier: Apache-2.0 */
/* Files of guest tools that no package owns: what is left of them, and its removal. */
#include "guest/guest-internal.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MAX_FILES 8000
#define MAX_DEPTH 24
#define LOCATIONS "/etc/vmware-tools/locations"

struct walk {
	struct guest *g;
	const char *tool;
	const char *dir;     /* being listed */
	const char *rest;    /* of the pattern, NULL: everything below */
	int depth, *n;
	bool plan;           /* else only counted */
	struct err *err;
};

static int remove_one(struct walk *w, const char *path)
{
	if (++*w->n > MAX_FILES)
		return err_set(w->err, ERR_PREP_TOOLS, "%s: more than %d files", w->tool,
			MAX_FILES);
	for (int i = 0; w->plan && i < w->g->n_ops; i++)
		if (w->g->ops[i].kind == OP_REMOVE && !strcmp(w->g->ops[i].path, path))
			return 0; /* a tool's own list and ours name it both */
	if (w->plan && !guest_op_add(w->g, OP_REMOVE, path, NULL, "left by %s", w->tool))
		return err_set(w->err, ERR_NOMEM, "make the plan: out of memory");
	return 0;
}

static int look(void *ctx, const char *name, const struct stat *st);

/* A path that the pattern names whole: the file, or the folder with all in it,
 * deepest first. */
static int take(struct walk *up, const char *path, const struct stat *st)
{
	struct walk w = *up;

	if (S_ISDIR(st->st_mode)) {
		if (++w.depth > MAX_DEPTH)
			return err_set(w.err, ERR_PREP_TOOLS, "%s: too deep", path);
		w.dir = path;
		w.rest = NULL;
		if (fs_list(&w.g->root, path, look, &w, w.err) < 0)
			return -1;
		if (!w.plan)
			return 0; /* an empty folder is nothing left */
	} else if (!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode)) {
		return 0;
	}
	return remove_one(up, path);
}

static int look(void *ctx, const char *name, const struct stat *st)
{
	struct walk *up = ctx, w = *up;
	char path[FS_PATH_MAX], real[FS_PATH_MAX], part[64];
	size_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", w.dir, name) >= sizeof(path))
		return 0;
	if (!w.rest)
		return take(&w, path, st);
	n = strcspn(w.rest, "/ ");
	snprintf(part, sizeof(part), "%.*s", (int)n, w.rest);
	if (fnmatch(part, name, 0))
		return 0;
	if (w.rest[n] != '/')
		return take(&w, path, st);
	/* /lib and /sbin may be links into /usr */
	if (S_ISLNK(st->st_mode) &&
		(fs_real(&w.g->root, path, real, sizeof(real),
			&(struct err)ERR_INIT) < 0 || !fs_is_dir(&w.g->root, real)))
		return 0;
	if (!S_ISDIR(st->st_mode) && !S_ISLNK(st->st_mode))
		return 0;
	w.dir = S_ISLNK(st->st_mode) ? real : path;
	w.rest += n + 1;
	return fs_list(&w.g->root, w.dir, look, &w, w.err) < 0 ? -1 : 0;
}

int guest_tool_files(struct guest *g, const char *tool, const char *patterns, bool plan,
	int *ret_n, struct err *err)
{
	*ret_n = 0;
	for (const char *p = patterns; p && *p; p += strspn(p, " ")) {
		struct walk w = { .g = g, .tool = tool, .dir = "", .rest = p + 1,
			.n = ret_n,
			.plan = plan, .err = err };

		if (fs_list(&g->root, "/", look, &w, err) < 0)
			return -1;
		p += strcspn(p, " ");
	}
	return 0;
}

/* The installer of VMware's archive writes down what it put where: "file PATH TIME",
 * "directory PATH", and "remove_file PATH" for what it took back. */

/* Its own entries only: an image that it built, or a file that it edited, stays. */
static bool may_go(const char *path)
{
	static const char *const stays[] = {
		"/boot/", "/etc/fstab", "/etc/passwd", "/etc/group", "/etc/modules",
		"/etc/modprobe.conf",
		"/etc/rc.local", "/dev/", "/proc/", "/sys/", "/run/",
	};

	if (*path != '/' || strstr(path, "/../") || strstr(path, "//"))
		return false;
	for (size_t i = 0; i < sizeof(stays) / sizeof(stays[0]); i++)
		if (!strncmp(path, stays[i], strlen(stays[i])))
			return false;
	return strcasestr(path, "vm") || strstr(path, "/lib/modules/");
}

int guest_tool_locations(struct guest *g, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char *save = NULL, taken_back[FS_PATH_MAX + 16];
	size_t len = 0;
	int n = 0, got = fs_read(&g->root, LOCATIONS, GUEST_TEXT_MAX, &text, &len, err);
	CLEANUP_FREE char *all = got ? NULL : strdup(text);

	if (got)
		return got < 0 ? -1 : 0;
	if (!all)
		return err_set(err, ERR_NOMEM, "make the plan: out of memory");
	for (char *line = strtok_r(text, "\n", &save); line;
	    line = strtok_r(NULL, "\n", &save)) {
		struct walk w = { .g = g, .tool = "vmware-tools", .n = &n, .plan = true,
			.err = err };
		char path[FS_PATH_MAX];
		struct stat st;

		if (strncmp(line, "file ", 5))
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(line + 5, " \r"),
			line + 5);
		snprintf(taken_back, sizeof(taken_back), "\nremove_file %s\n", path);
		if (!may_go(path) || strstr(all, taken_back) ||
			fs_lstat(&g->root, path, &st) < 0 ||
			(!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) || !strncmp(path, "/etc/vmware-tools/", 18)) /* with its folder */
			continue;
		if (remove_one(&w, path) < 0)
			return -1;
	}
	return 0;
}
