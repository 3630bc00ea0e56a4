/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted volumes (LUKS1, LUKS2). cryptsetup reads the key from a file that exists in
 * memory only, by the name it has below our /proc: it is on no command line and in no
 * file system.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs/fs-internal.h"

/* Exit statuses of cryptsetup(8). */
#define WRONG_KEY 2
#define NO_MEMORY 3

bool fs_luks_is_name(const char *s)
{
	const char *p = s;

	while (isalnum((unsigned char)*p) || (*p && strchr("#+-.:=@_", *p)))
		p++;
	return p > s && !*p && *s != '-' && p - s <= 127 && strcmp(s, ".") &&
		strcmp(s, "..") && strcmp(s, "control");
}

/* "0 4096 crypt aes-xts-plain64 KEY ...", where dmsetup writes zeros for the key. */
static void see_table(void *ctx, const char *line)
{
	struct fs_layer *l = ctx;
	char cipher[48];

	if (sscanf(line, "%*s %*s crypt %47s", cipher) == 1)
		snprintf(l->detail, sizeof(l->detail), "LUKS, %s", cipher);
}

/* cryptsetup's text: below "Tokens:", "  0: systemd-tpm2" and its members, which stand further in. */
struct dump {
	struct fs_layer *l;
	bool in_tokens;
};

static void see_dump(void *ctx, const char *line)
{
	struct dump *d = ctx;
	size_t used = strlen(d->l->tokens);
	char type[48];
	int n;

	if (*line != ' ' && *line != '\t')
		d->in_tokens = !strcmp(line, "Tokens:");
	else if (d->in_tokens && sscanf(line, "  %d: %47s", &n, type) == 2 &&
		line[2] != ' ' && used + strlen(type) + 2 <= sizeof(d->l->tokens))
		sprintf(d->l->tokens + used, "%s%s", used ? " " : "", type);
}

static int describe(struct fs_stack *s, struct fs_layer *l, struct err *err)
{
	const char *argv[] = { STACK_DMSETUP, "table", l->name, NULL };
	const char *dump[] = { STACK_CRYPTSETUP, "luksDump", "--disable-locks", l->on,
		NULL };
	struct dump d = { .l = l };
	char last[256];
	int status;

	snprintf(l->detail, sizeof(l->detail), "LUKS");
	status = fs_stack_run(s, argv, see_table, l, last, err);
	if (!status)
		status = fs_stack_run(s, dump, see_dump, &d, last, err);
	if (status > 0)
		return err_set(err, ERR_PREP_STACK, "look at %s: %s", l->name, last);
	return status;
}

enum fs_key fs_luks_open(struct fs_stack *s, const char *dev, const char *uuid,
	const char *name, const void *key, size_t len, struct fs_layer **ret,
	struct err *err)
{
	const char *devs[] = { dev, NULL };
	char path[64], last[256];
	CLEANUP_CLOSE int fd = -1;
	const char *argv[] = { STACK_CRYPTSETUP, "open", "--type", "luks", "--batch-mode",
		"--disable-keyring", "--disable-locks", "--tries", "1", "--key-file",
		path, dev, name, s->writable ? NULL : "--readonly", NULL };
	struct fs_layer *l;
	int status;

	/* An option, or a path, is no name. */
	if (!fs_luks_is_name(name)) {
		err_set(err, ERR_PREP_STACK, "%s: its UUID is none", dev);
		return FS_KEY_FAILED;
	}
	fd = fs_stack_file(key, len, err);
	if (fd < 0)
		return FS_KEY_FAILED;
	l = fs_stack_new(s, FS_LAYER_LUKS, devs, err);
	if (!l)
		return FS_KEY_FAILED;
	fs_stack_fd_name(fd, path, sizeof(path));
	status = fs_stack_run(s, argv, NULL, NULL, last, err);
	if (!status) {
		snprintf(l->name, sizeof(l->name), "%s", name);
		snprintf(l->uuid, sizeof(l->uuid), "%s", uuid);
		fs_stack_added(s);
		*ret = l;
		return describe(s, l, err) < 0 ? FS_KEY_FAILED : FS_KEY_FITS;
	}
	fs_stack_drop(l);
	if (status == WRONG_KEY)
		return FS_KEY_WRONG;
	if (status == NO_MEMORY)
		err_set(err, ERR_NOMEM,
			"%s: not enough memory for its key derivation: %s", dev, last);
	else if (status > 0)
		err_set(err, ERR_PREP_STACK, "%s: %s", dev, last);
	return FS_KEY_FAILED;
}

int fs_luks_rename(struct fs_stack *s, struct fs_layer *l, const char *name,
	struct err *err)
{
	const char *argv[] = { STACK_DMSETUP, "rename", l->name, name, NULL };
	char last[256];
	int status;

	if (!fs_luks_is_name(name))
		return err_set(err, ERR_PREP_STACK, "%s: not a name for a volume", name);
	status = fs_stack_run(s, argv, NULL, NULL, last, err);
	if (status > 0)
		err_set(err, ERR_PREP_STACK, "call %s %s: %s", l->name, name, last);
	if (status)
		return -1;
	snprintf(l->name, sizeof(l->name), "%s", name);
	return 0;
}

int fs_stack_luks_close(struct fs_stack *s, struct fs_layer *l, struct err *err)
{
	const char *argv[] = { STACK_CRYPTSETUP, "close", l->name, NULL };
	char last[256];
	int status = fs_stack_run(s, argv, NULL, NULL, last, err);

	if (status > 0)
		return err_set(err, ERR_DISK_BUSY, "close %s: %s", l->name, last);
	return status;
}
