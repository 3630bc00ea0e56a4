/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of journals has a size that it does not exceed. A journal that goes costs
 * its copy time, as the hashes are compared then; a full disk would cost the source more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "serve/serve-internal.h"

#define MONTH_S (30 * 86400)
#define DAY_S 86400
#define LOOK_AT 4096 /* files; what is more has its turn the next time */

struct journal_file {
	char name[40];
	time_t changed;
	uint64_t size;
};

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n >= k && !strcmp(name + n - k, end);
}

static void remove_file(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		log_warn("journal: remove %s: %s", name, err_text(errno));
}

/* Takes a file into the list, or removes what is too old. A file that was being written
 * when a server was killed is left over after a day. */
static bool take_file(int dir, const char *name, struct journal_file *ret)
{
	bool half = ends_with(name, ".journal.tw-new");
	time_t now = time(NULL);
	struct stat st;

	if ((!half && !ends_with(name, ".journal")) || strlen(name) >= sizeof(ret->name) ||
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (now - st.st_mtime > (half ? DAY_S : MONTH_S)) {
		remove_file(dir, name);
		return false;
	}
	strcpy(ret->name, name);
	ret->changed = st.st_mtime;
	ret->size = (uint64_t)st.st_size;
	return !half;
}

static int compare_age(const void *a, const void *b)
{
	const struct journal_file *x = a, *y = b;

	return x->changed < y->changed ? -1 : x->changed > y->changed;
}

void serve_journal_trim(const char *path)
{
	CLEANUP_FREE struct journal_file *list = calloc(LOOK_AT, sizeof(*list));
	DIR *dir = opendir(path);
	struct dirent *e;
	uint64_t bytes = 0;
	size_t n = 0;

	if (!list || !dir) {
		log_warn("journal: look through %s: %s", path, err_text(errno));
		if (dir)
			closedir(dir);
		return;
	}
	while (n < LOOK_AT && (e = readdir(dir)))
		if (take_file(dirfd(dir), e->d_name, &list[n]))
			bytes += list[n++].size;
	qsort(list, n, sizeof(*list), compare_age);
	for (size_t i = 0; n - i > SERVE_MAX_JOURNALS || bytes > SERVE_MAX_JOURNAL_BYTES;
	    bytes -= list[i++].size) {
		log_info("journal: %s makes room", list[i].name);
		remove_file(dirfd(dir), list[i].name);
	}
	closedir(dir);
}
