/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a journal: a new one, or an interrupted preparation's. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

/* Files that a system writes whenever it starts. As they are when a preparation begins
 * they tell later whether it was interrupted in this guest as it is, or whether the guest
 * has been running since: then what is new in it is its own. */
static void tell_starts(struct guest *g, char *ret, size_t size)
{
	static const char *const files[] = { "/var/log/wtmp", "/var/log/lastlog",
		"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed",
		"/var/lib/random-seed", "/var/lib/misc/random-seed",
		"/var/lib/seedrng/seed.credit", "/var/lib/seedrng/seed.no-credit",
		"/etc/mtab", "/etc/adjtime", "/var/log/messages", "/var/log/syslog",
		"/var/log/dmesg", "/var/log/boot.log", "/var/log/journal",
		"/var/lib/systemd/timesync/clock", "/var/lib/dhcp" };
	struct stat st;
	size_t n = 0;

	*ret = '\0';
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && n < size; i++)
		if (!fs_lstat(&g->root, files[i], &st))
			n += (size_t)snprintf(ret + n, size - n, "%zu:%llu:%lld.%09ld ",
				i, (unsigned long long)st.st_size,
				(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static int note_begin(struct guest *g, bool continues, struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *o = yyjson_mut_obj(doc);
	char starts[GUEST_STARTS_MAX], when[32];
	time_t now = time(NULL);
	struct tm tm;
	int result;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	tell_starts(g, starts, sizeof(starts));
	yyjson_mut_doc_set_root(doc, o);
	yyjson_mut_obj_add_str(doc, o, "op", "begin");
	yyjson_mut_obj_add_str(doc, o, "time", when); /* for people only */
	yyjson_mut_obj_add_bool(doc, o, "continues", continues);
	yyjson_mut_obj_add_str(doc, o, "ran", starts);
	result = guest_journal_append(g, g->journal.dir, doc, err);
	yyjson_mut_doc_free(doc);
	return result;
}

bool guest_journal_ran(struct guest *g, const struct guest_journal_marks *m)
{
	char starts[GUEST_STARTS_MAX];

	tell_starts(g, starts, sizeof(starts));
	return strcmp(starts, m->ran) != 0;
}

/* The folder that GUEST_STATE_DIR is made in, as it is before that. */
static int begin(struct guest *g, unsigned number, bool continues, struct err *err)
{
	struct guest_journal *j = &g->journal;
	char files[256], *slash, parent[] = GUEST_STATE_DIR;
	yyjson_mut_doc *folder = NULL;
	int result = 0;

	slash = strrchr(parent, '/');
	*slash = '\0';
	snprintf(j->dir, sizeof(j->dir), "%s/%06u", GUEST_STATE_DIR, number);
	snprintf(files, sizeof(files), "%s/files", j->dir);
	j->n_saved = 0;
	if (fs_is_dir(&g->root, parent) && !fs_is_dir(&g->root, GUEST_STATE_DIR))
		result = guest_journal_save_folder(g, parent, &folder, err);
	if (!result)
		result = fs_mkdirs(&g->root, files, 0700, err);
	if (!result)
		result = note_begin(g, continues, err);
	if (!result && folder)
		result = guest_journal_append(g, j->dir, folder, err);
	yyjson_mut_doc_free(folder);
	return result;
}

int guest_journal_open(struct guest *g, struct err *err)
{
	struct guest_journal *j = &g->journal;
	struct guest_journal_marks m = { .empty = true };
	char digest[17];
	bool continues;

	if (guest_journal_last(g, NULL, j->dir, sizeof(j->dir), err) < 0 ||
		(*j->dir && guest_journal_marks(g, j->dir, &m, err) < 0))
		return -1;
	if (*j->dir && !m.applied && !m.earlier) {
		if (!guest_journal_ran(g, &m)) {
			guest_report_warn(g,
				"an interrupted preparation was found; it is completed");
			j->resumed = true;
			return guest_journal_drop_unfinished(g, j->dir, err);
		}
		guest_report_warn(g, "an interrupted preparation was found, and the guest has been started since: "
			"what it changed stays as it is");
	}
	snprintf(digest, sizeof(digest), "%016llx", (unsigned long long)
		fs_inventory_digest(g->before, GUEST_STATE_DIR));
	continues = m.applied && !m.earlier && !strcmp(digest, m.digest);
	if (*j->dir && !continues && !m.earlier &&
		guest_journal_note(g, j->dir, "earlier", NULL, NULL, err) < 0)
		return -1;
	return begin(g, *j->dir ? guest_journal_number(j->dir) + 1 : 1, continues, err);
}
