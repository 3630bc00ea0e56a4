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

/* journal.c */
int guest_journal_open(struct guest *g, struct err *err);
/* The text of the journal in a folder; as fs_read. */
int guest_journal_text(struct guest *g, const char *dir, char **ret, size_t *ret_len,
	struct err *err);
/* Before a path is changed: saves what is there, or notes that nothing is. */
int guest_journal_save(struct guest *g, const char *path, struct err *err);
/* A tool made this path: undo removes it. */
int guest_journal_note_added(struct guest *g, const char *path, struct err *err);
int guest_journal_end(struct guest *g, const char *what, struct err *err);
struct guest_journal_entry {
	const char *path;
	const char *type;    /* "absent", "file", "link", "dir" */
	const char *sha256, *backup, *target; /* "" where the type has none */
};
/* All entries of the open journal. A non-zero result ends it. */
int guest_journal_each(struct guest *g,
	int (*each)(void *ctx, const struct guest_journal_entry *e), void *ctx,
	struct err *err);
/* 1 when the open journal knows the path, else 0, -1 on error. ret gets its backup, ""
 * for what is no file; ret_sha256 may be NULL. */
int guest_journal_find(struct guest *g, const char *path, char *ret, size_t size,
	char *ret_sha256, struct err *err);
/* rollback.c: plays the journal of a folder backwards, which is gone then */
int guest_journal_rollback(struct guest *g, const char *dir, struct err *err);
/* All that was saved behind a mark goes back to what it was; the entries stay. */
int guest_journal_mark(struct guest *g, size_t *ret, struct err *err);
int guest_journal_back_to(struct guest *g, size_t mark, struct err *err);
int guest_journal_newest(struct guest *g, char *ret, size_t size, bool *ret_complete,
	struct err *err);

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
