/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other names of a file with several. They are looked for once for each file system,
 * when the first such file is saved, and each is looked at again before it is believed.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX (1u << 20)

struct guest_links {
	struct guest_links *next;
	dev_t dev;
	struct name {
		ino_t ino;
		char *path;
	} *names;
	size_t n, cap;
	bool cut;
};

struct walk {
	struct guest *g;
	struct guest_links *l;
	char **folders; /* that are left to look into */
	size_t n, cap;
	const char *dir;
};

static int add_folder(struct walk *w, char *path)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 256;
		char **grown = realloc(w->folders, cap * sizeof(*grown));

		if (!grown)
			return -1;
		w->folders = grown;
		w->cap = cap;
	}
	w->folders[w->n++] = path;
	return 0;
}

static int add_name(struct guest_links *l, ino_t ino, char *path)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		struct name *grown = realloc(l->names, cap * sizeof(*grown));

		if (!grown)
			return -1;
		l->names = grown;
		l->cap = cap;
	}
	l->names[l->n++] = (struct name){ ino, path };
	return 0;
}

static int look_at_name(void *ctx, const char *name, const struct stat *st)
{
	struct walk *w = ctx;
	bool folder = S_ISDIR(st->st_mode);
	size_t size = strlen(w->dir) + strlen(name) + 2;
	char *path;

	if (st->st_dev != w->l->dev || size > FS_PATH_MAX ||
		(!folder && (st->st_nlink < 2 ||
			(!S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode)))))
		return 0;
	if (!folder && w->l->n == NAMES_MAX) {
		w->l->cut = true;
		return 0;
	}
	path = malloc(size);
	if (!path)
		return -2;
	if ((size_t)snprintf(path, size, "%s/%s", w->dir[1] ? w->dir : "",
		name) >= size || (folder ? add_folder(w, path) :
		add_name(w->l, st->st_ino, path)) < 0) {
		free(path);
		return -2;
	}
	return 0;
}

static int find_names(struct guest *g, struct guest_links *l, struct err *err)
{
	struct walk w = { .g = g, .l = l };
	int result = 0;

	/* All mounts: which one is the file system's does not matter. */
	for (int i = 0; i < g->n_mounts && !result; i++) {
		struct stat st;
		char *point;

		if (fs_stat(&g->root, g->mounts[i].point, &st) < 0 || st.st_dev != l->dev)
			continue;
		point = strdup(g->mounts[i].point);
		if (!point || add_folder(&w, point) < 0) {
			free(point);
			result = -2;
		}
		break;
	}
	while (w.n && !result) {
		char *dir = w.folders[--w.n];

		w.dir = dir;
		result = fs_list(&g->root, dir, look_at_name, &w, err);
		result = result == 1 ? 0 : result;
		free(dir);
		if (g->opt->tick)
			g->opt->tick(g->opt->ctx);
	}
	while (w.n)
		free(w.folders[--w.n]);
	free(w.folders);
	if (result == -2)
		return err_set(err, ERR_NOMEM, "names of linked files: out of memory");
	if (l->cut)
		guest_report_warn(g, "more than %u names are of files with several: some that an undo "
			"brings back may be files of their own", NAMES_MAX);
	return result;
}

static struct guest_links *links_of(struct guest *g, dev_t dev, struct err *err)
{
	struct guest_links *l = g->links;

	while (l && l->dev != dev)
		l = l->next;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l) {
		err_set(err, ERR_NOMEM, "names of linked files: out of memory");
		return NULL;
	}
	l->dev = dev;
	l->next = g->links;
	g->links = l;
	return find_names(g, l, err) < 0 ? NULL : l;
}

int guest_links_each(struct guest *g, const char *path, const struct stat *st,
	int (*each)(void *ctx, const char *name), void *ctx, struct err *err)
{
	struct guest_links *l = links_of(g, st->st_dev, err);
	int result = l ? 0 : -1;

	for (size_t i = 0; l && i < l->n && !result; i++) {
		struct stat now;

		if (l->names[i].ino == st->st_ino && strcmp(l->names[i].path, path) &&
			!fs_lstat(&g->root, l->names[i].path, &now) &&
			now.st_dev == st->st_dev && now.st_ino == st->st_ino)
			result = each(ctx, l->names[i].path);
	}
	return result;
}

void guest_links_free(struct guest *g)
{
	while (g->links) {
		struct guest_links *l = g->links;

		g->links = l->next;
		while (l->n)
			free(l->names[--l->n].path);
		free(l->names);
		free(l);
	}
}
