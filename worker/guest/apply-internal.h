/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying a plan out: the journal, programs of the guest, labels, and what came of it;
 * included by guest-internal.h. */
#ifndef GUEST_APPLY_INTERNAL_H
#define GUEST_APPLY_INTERNAL_H

/* apply.c */
int guest_apply(struct guest *g, struct err *err);
/* What is written anew beside a copy of the initramfs that a loader starts: saves it, or
 * adds up its size. */
int guest_save_companions(struct guest *g, const struct guest_kernel *k,
	uint64_t *only_bytes, struct err *err);
/* changes.c */
/* The paths there were at first, kept beside the journal until the end. */
int guest_keep_paths(struct guest *g, struct err *err);
int guest_drop_paths(struct guest *g, struct err *err);
/* All paths of the guest but for volumes of data; like: an earlier one to compare. */
int guest_take_inventory(struct guest *g, const struct fs_inventory *like,
	struct fs_inventory **ret, struct err *err);
/* Notes what is there now, in g->before, and was not among them. */
int guest_note_left(struct guest *g, struct err *err);
/* What differs goes to the journal and, if asked for, to the report. ret_lost: changes
 * that undo cannot take back. */
int guest_list_changes(struct guest *g, bool report, int *ret_lost, struct err *err);
/* The same of what a killed run had done before. */
int guest_list_resumed(struct guest *g, struct err *err);
/* verify.c */
int guest_verify(struct guest *g, struct err *err);
/* The error that no preparation of ours can mend, before anything is written. */
int guest_check_hope(struct guest *g, struct err *err);
int guest_check_firmware(const struct guest *g, struct err *err);
/* What stands in the way of booting on virtio goes to because[].
 * Returns how many reasons. */
int guest_judge(struct guest *g, struct err *err);

/* paths.c: a sorted list, each once */
struct guest_paths {
	char **v;
	size_t n, cap;
};
int guest_paths_add(struct guest_paths *p, const char *path, struct err *err);
bool guest_paths_has(const struct guest_paths *p, const char *path);
void guest_paths_free(struct guest_paths *p);

/* journal.c: dir is the folder of a journal, GUEST_STATE_DIR "/NUMBER". */
/* The newest one that is older than before, or of all (before NULL); "" = none. */
int guest_journal_last(struct guest *g, const char *before, char *ret, size_t size,
	struct err *err);
unsigned guest_journal_number(const char *dir);
#define GUEST_STARTS_MAX 1024
struct guest_journal_marks {
	bool empty;     /* nothing was noted, so nothing was changed */
	bool continues; /* the one before is of the same migration */
	bool applied;   /* complete */
	bool undoing, undone;
	bool earlier;   /* of another migration than what came next */
	char digest[17];             /* of the guest when it was complete */
	char ran[GUEST_STARTS_MAX];  /* journal-open.c */
};
int guest_journal_marks(struct guest *g, const char *dir, struct guest_journal_marks *ret,
	struct err *err);
/* The text of the journal in a folder; as fs_read. */
int guest_journal_text(struct guest *g, const char *dir, char **ret, size_t *ret_len,
	struct err *err);
/* NULL for what is no line. */
yyjson_doc *guest_journal_line(const char *line, size_t len);
/* A line of it; free it. NULL: err is filled. */
char *guest_journal_json(yyjson_mut_doc *doc, size_t *ret_len, struct err *err);
/* Lines at its end, through to the disk when they return. */
int guest_journal_write(struct guest *g, const char *dir, const char *lines, size_t len,
	struct err *err);
int guest_journal_append(struct guest *g, const char *dir, yyjson_mut_doc *doc,
	struct err *err);
/* A line of an operation and one value; key may be NULL. */
int guest_journal_note(struct guest *g, const char *dir, const char *op, const char *key,
	const char *value, struct err *err);
/* A tool made this path: undo removes it. */
int guest_journal_note_added(struct guest *g, const char *path, struct err *err);
int guest_journal_end(struct guest *g, uint64_t digest, struct err *err);
struct guest_journal_entry {
	const char *op, *path;
	const char *type;    /* "absent", "file", "link", "dir" */
	const char *sha256, *backup, *target; /* "" where the type has none */
	yyjson_val *all;
};
/* All entries of a journal that have a path. A non-zero result ends it. */
int guest_journal_each(struct guest *g, const char *dir,
	int (*each)(void *ctx, const struct guest_journal_entry *e), void *ctx,
	struct err *err);
/* 1 when the open journal has saved the path (behind g->journal.since), else 0, -1 on
 * error. */
int guest_journal_knows(struct guest *g, const char *path, struct err *err);
/* The same of all of it. ret gets its backup, "" for what is no file; ret_sha256 may be
 * NULL. */
int guest_journal_find(struct guest *g, const char *path, char *ret, size_t size,
	char *ret_sha256, struct err *err);
int guest_journal_newest(struct guest *g, char *ret, size_t size, bool *ret_complete,
	struct err *err);

/* journal-open.c */
int guest_journal_open(struct guest *g, struct err *err);
/* The guest has been started since a journal with these marks began. */
bool guest_journal_ran(struct guest *g, const struct guest_journal_marks *m);

/* save.c */
/* Before a path is changed: saves what is there, or notes that nothing is; the same of
 * the folders that it is in. */
int guest_journal_save(struct guest *g, const char *path, struct err *err);
/* The entry of a folder as it is now, for guest_journal_append.
 * Free it, also after -1. */
int guest_journal_save_folder(struct guest *g, const char *dir, yyjson_mut_doc **ret,
	struct err *err);

/* links.c: the other names of a file or link. A non-zero result of each ends it. */
int guest_links_each(struct guest *g, const char *path, const struct stat *st,
	int (*each)(void *ctx, const char *name), void *ctx, struct err *err);
void guest_links_free(struct guest *g);

/* result.c */
/* Notes what became of each path that the open journal knows. */
int guest_result_note(struct guest *g, struct err *err);
/* Paths that others have changed since. */
struct guest_edits {
	struct guest_paths kept;    /* paths that an undo leaves as they are now */
	struct guest_paths folders; /* others were put into or taken out of them */
	struct guest_paths looked_at;
};
/* Adds what was changed since the preparation of this journal, the newest of a migration
 * first, and reports it. */
int guest_result_check(struct guest *g, const char *dir, bool applied,
	struct guest_edits *edits, struct err *err);

/* rollback.c: plays the journal of a folder backwards. edits NULL = nothing is kept */
int guest_journal_play(struct guest *g, const char *dir, const struct guest_edits *edits,
	struct err *err);
/* All that was saved behind a mark goes back to what it was; the entries stay. */
int guest_journal_mark(struct guest *g, size_t *ret, struct err *err);
int guest_journal_back_to(struct guest *g, size_t mark, struct err *err);
/* Removes the temporary files of killed calls, beside the paths of the journal. */
int guest_journal_drop_unfinished(struct guest *g, const char *dir, struct err *err);

/* undo.c */
/* The same, and then the journal goes. */
int guest_journal_rollback(struct guest *g, const char *dir,
	const struct guest_edits *edits, struct err *err);
/* The preparations of the last migration. */
int guest_undo(struct guest *g, struct err *err);
/* Whether one was interrupted, and the rest of it. */
int guest_undo_pending(struct guest *g, bool *ret, struct err *err);
int guest_undo_finish(struct guest *g, struct err *err);
/* All that was written to the guest's file systems is on the disks. */
int guest_sync(struct guest *g, struct err *err);

/* contain.c: a program of the guest, in its own root, namespaces and limits. argv[0] is a
 * path within the guest. After PREP_STUCK nothing of the guest may be touched again. */
#define GUEST_RUN_FOLDER "/run/target-worker-packages"
struct guest_run {
	const char *const *argv;
	struct {
		const char *file, *text; /* a file of the guest appears with
					  * this text instead */
	} masks[2];              /* file NULL = none */
	const char *folder;      /* of this machine, read-only at
				  * GUEST_RUN_FOLDER; NULL = none */
	struct strbuf *output; /* may be NULL */
	size_t output_max;
};
int guest_contain(struct guest *g, const struct guest_run *run, int *ret_status,
	struct err *err);

/* selinux.c: the label that policy gives a path, by the text of a file_contexts. False:
 * none, or none that can be told. */
bool guest_selinux_find(const char *text, size_t len, const char *path, unsigned mode,
	char *ret, size_t size);
int guest_plan_relabel(struct guest *g, struct err *err);
int guest_selinux_open(struct guest *g, struct err *err);
/* A path that was added or changed gets its label if it has none. */
int guest_selinux_label(struct guest *g, const char *path, unsigned mode,
	struct err *err);

/* rehearse.c: from begin to end g->opt->disks are snapshots;
 * end is due after a failed begin too. */
int guest_rehearse_begin(struct guest *g, struct err *err);
/* Memory that the changes took; fails with NOMEM when it was not enough. */
int guest_rehearse_used(struct guest *g, uint64_t *ret, struct err *err);
int guest_rehearse_end(struct guest *g, struct err *err);

#endif
