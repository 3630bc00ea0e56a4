/* SPDX-License-Identifier: Apache-2.0 */
/* Packages that the operator supplies: in a folder, on a disk, in an image of one. */
#include "guest/guest-internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What a tool calls the guest's architecture; "" = none of its packages. */
static const char *arch_name(const struct guest *g, bool debian)
{
	static const char *const names[][3] = {
		{ "x86_64", "amd64", "x86_64" }, { "i386", "i386", "i686" },
		{ "aarch64", "arm64", "aarch64" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(g->facts.arch, names[i][0]))
			return names[i][debian ? 1 : 2];
	return "";
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && !strcmp(s + n - m, end);
}

/* By its name: NAME_VERSION_ARCH.deb, NAME-VERSION-RELEASE.ARCH.rpm, NAME-VERSION.apk
 * (which does not tell its architecture: apk does). */
static bool suits(const struct guest *g, const char *name)
{
	const char *family = g->facts.family->name;
	char own[32];

	if (!isalnum((unsigned char)*name) ||
		name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~:-%")])
		return false;
	if (!strcmp(family, "debian")) {
		snprintf(own, sizeof(own), "_%s.deb", arch_name(g, true));
		return ends_with(name, own) || ends_with(name, "_all.deb");
	}
	if (!strcmp(family, "redhat")) {
		snprintf(own, sizeof(own), ".%s.rpm", arch_name(g, false));
		return ends_with(name, own) || ends_with(name, ".noarch.rpm");
	}
	return !strcmp(family, "alpine") && ends_with(name, ".apk");
}

static bool is_of(const char *name, const char *package)
{
	size_t n = strlen(package);

	return !strncmp(name, package, n) &&
		(name[n] == '_' ||
			(name[n] == '-' && isdigit((unsigned char)name[n + 1])));
}

static void look_into(const struct guest *g, const char *dir, const char *package,
	struct guest_supply *ret)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	strbuf_reset(&ret->names);
	ret->n = ret->named = 0;
	ret->bytes = 0;
	while (d && (e = readdir(d))) {
		if (!suits(g, e->d_name) || fstatat(dirfd(d), e->d_name, &st, 0) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		strbuf_fmt(&ret->names, "%s%s", ret->n++ ? " " : "", e->d_name);
		ret->named += is_of(e->d_name, package);
		ret->bytes += (uint64_t)st.st_size;
	}
	if (d)
		closedir(d);
}

/* Allows what os-release(5) does in ID and VERSION_ID, but no name that leads elsewhere:
 * the guest chose it, and the folder is of the operator's medium. */
static bool is_plain(const char *s)
{
	return isalnum((unsigned char)*s) && !s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")];
}

/* The guest's own folder comes first: "debian-12.5", "debian-12", "debian",
 * then the whole. */
static void choose(struct guest *g, const char *top, const char *package,
	struct guest_supply *ret)
{
	const struct guest_facts *f = &g->facts;
	size_t major = strcspn(f->os_version, ".");
	char *at = g->packages.at;

	for (int i = 0; i < 4; i++) {
		if (i < 3 && (!is_plain(f->os_id) ||
			(*f->os_version && !is_plain(f->os_version))))
			continue;
		if (i == 3)
			snprintf(at, sizeof(g->packages.at), "%s", top);
		else
			snprintf(at, sizeof(g->packages.at), "%s/%s%s%.*s", top, f->os_id,
				i < 2 ? "-" : "", i == 0 ? 60 : i == 1 ? (int)major :
				0, f->os_version);
		look_into(g, at, package, ret);
		if (ret->named)
			return;
	}
}

/* A folder as it is; a disk or an image is mounted. */
static int open_packages(struct guest *g, char *top, size_t size, struct err *err)
{
	const char *from = g->opt->packages, *node = from;
	struct guest_packages *p = &g->packages;
	CLEANUP_CLOSE int dir = -1;
	struct fs_info fs;
	struct stat st;

	if (stat(from, &st) < 0)
		return err_sys(err, ERR_DISK_NOT_FOUND, "%s", from);
	if (S_ISDIR(st.st_mode)) {
		snprintf(top, size, "%s", from);
		return 0;
	}
	if (S_ISREG(st.st_mode)) {
		if (block_loop_attach(from, true, &p->loop, err) < 0)
			return -1;
		node = p->loop.node;
	}
	if (fs_probe(node, &fs, err) != FS_FOUND || !fs_mountable(fs.type))
		return err->code ? -1 :
			err_set(err, ERR_FS_UNKNOWN, "%s: no file system", from);
	snprintf(top, size, "%s/packages", g->opt->work_dir);
	if (mkdir(top, 0700) < 0 && errno != EEXIST)
		return err_sys(err, ERR_INTERNAL, "make %s", top);
	dir = open(top, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	p->mount = fs_mount(node, fs.type, dir, false, NULL, err);
	if (p->mount < 0) {
		rmdir(top);
		return -1;
	}
	snprintf(p->mounted, sizeof(p->mounted), "%s", top);
	return 0;
}

int guest_find_packages(struct guest *g, const char *package, struct guest_supply *ret,
	struct err *err)
{
	char top[FS_PATH_MAX - 128];

	if (open_packages(g, top, sizeof(top), err) < 0)
		return -1;
	choose(g, top, package, ret);
	return 0;
}

void guest_close_packages(struct guest *g)
{
	struct guest_packages *p = &g->packages;
	struct err err = ERR_INIT;

	if (*p->mounted && (fs_unmount(&p->mount, p->mounted, &err) < 0 ||
		rmdir(p->mounted) < 0))
		guest_report_warn(g, "%s: %s", p->mounted,
			err.code ? err.text : err_text(errno));
	err_clear(&err);
	if (block_loop_detach(&p->loop, &err) < 0)
		guest_report_warn(g, "%s", err.text);
}
