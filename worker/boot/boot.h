/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot loaders: what they start, and edits of their files as text. One file per loader; a
 * new one is a new file and a line in the table of detect.c. Texts come from the guest:
 * each edit keeps every byte that it does not have to change.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "fs/fs.h"

#define BOOT_TEXT_MAX (4u << 20)

/* line.c: texts line by line. A line is [s, s + len) without its newline. */
struct boot_line {
	const char *s;
	size_t len, full; /* full: with the newline */
};
/* The next line at *at; false at the end. */
bool boot_line_next(const char *text, size_t len, size_t *at, struct boot_line *ret);

/* cmdline.c */
struct boot_map {
	/* A name that lasts for a device of the guest ("UUID=..." for "/dev/sda1").
	 * False: leave it as it is. */
	bool (*device)(void *ctx, const char *spec, char *ret, size_t size);
	/* A device that the target has not got. NULL = not known. */
	bool (*elsewhere)(void *ctx, const char *spec);
	/* Instead of all that, rewrites a whole command line, appended to out; returns
	 * how many words changed. NULL = devices are. */
	int (*cmdline)(void *ctx, const char *s, size_t len, struct strbuf *out);
	void *ctx;
};
/* Rewrites devices in root=, resume=, ... words of a kernel command line (quotes around
 * the whole allowed). Appends to out; returns how many words changed. */
int boot_cmdline_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* The value of KEY= on a command line, last one counts; false if there is none. */
bool boot_cmdline_get(const char *s, size_t len, const char *key, char *ret, size_t size);

struct boot_entry {
	char title[128], id[128];
	char menu[128], menu_id[128]; /* of the submenu that it is in, "" = none */
	int number, menu_number;      /* GRUB's: from 0 in its own menu; the
				       * submenu's in the outer */
	char kernel[256], initrd[256]; /* as the loader names them: relative
					* to its file system */
	char root[256];                /* of root=, "" = none */
};
/* A non-zero result ends the walk and is returned. */
typedef int (*boot_entry_fn)(void *ctx, const struct boot_entry *e);

/* grub.c: grub.cfg of GRUB 2, /etc/default/grub, menu.lst and grub.conf of GRUB legacy */
int boot_grub_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int boot_grub_default_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
/* grubenv: kernelopts= of RHEL 8; the file is always 1024 bytes. */
int boot_grubenv_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int boot_grub_entries(const char *s, size_t len, boot_entry_fn each, void *ctx);
/* Whether a value of "default" or "saved_entry" means this entry: a number, title or id,
 * behind that of its submenu and ">". A submenu alone means the first entry in it. */
bool boot_grub_is(const struct boot_entry *e, const char *want);
/* Whether the menu comes from files in /boot/loader/entries (blscfg). */
bool boot_grub_uses_bls(const char *s, size_t len);

/* bls.c: Boot Loader Specification entries, also those of systemd-boot;
 * /etc/kernel/cmdline */
int boot_bls_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
bool boot_bls_entry(const char *s, size_t len, struct boot_entry *ret);

/* extlinux.c: extlinux.conf, syslinux.cfg */
int boot_extlinux_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out);
int boot_extlinux_entries(const char *s, size_t len, boot_entry_fn each, void *ctx);

/* detect.c */
enum boot_kind {
	BOOT_NONE, BOOT_GRUB2, BOOT_GRUB1, BOOT_SYSTEMD_BOOT, BOOT_EXTLINUX,
	BOOT_UNIFIED, /* none but the firmware: kernel, initramfs and
		       * command line are one file */
};
const char *boot_kind_name(enum boot_kind k);
struct boot_config {
	enum boot_kind kind;
	char path[256];   /* its main file, links resolved: "/boot/grub/grub.cfg" */
	bool bls;         /* entries are files in bls_dir */
	char bls_dir[64];
	char esp[64];     /* where the EFI system partition is mounted, "" = none */
};
/* Looks below the mounted root. BOOT_NONE is no error. */
int boot_detect(const struct fs_root *r, struct boot_config *ret, struct err *err);
/* Every file with kernel command lines that exists,
 * with the function that rewrites it. */
struct boot_file {
	char path[256];
	int (*rewrite)(const char *s, size_t len, const struct boot_map *m,
		struct strbuf *out);
};
int boot_files(const struct fs_root *r, const struct boot_config *c,
	struct boot_file *ret, int max, struct err *err);
/* Entries of whichever configuration there is. */
int boot_entries(const struct fs_root *r, const struct boot_config *c, boot_entry_fn each,
	void *ctx, struct err *err);

/* uki.c: unified kernel images */
enum { BOOT_UKI_LINUX, BOOT_UKI_INITRD, BOOT_UKI_CMDLINE, BOOT_UKI_OSREL, BOOT_UKI_UNAME,
	BOOT_UKI_SECTIONS };
struct boot_uki_part {
	uint64_t off, len; /* in the file, len 0 = no such section */
};
struct boot_uki {
	struct boot_uki_part part[BOOT_UKI_SECTIONS];
	char uname[96], cmdline[4096]; /* "" = none; boot_uki_read only */
};
/* head: the first len bytes of a file of file_size. False: not such an image. */
bool boot_uki_parse(const void *head, size_t len, uint64_t file_size,
	struct boot_uki *ret);
/* 0, 1 when the file is not such an image, -1. */
int boot_uki_read(const struct fs_root *r, const char *path, struct boot_uki *ret,
	struct err *err);

/* efi.c */
struct boot_copy {
	char from[256], to[256];
};
/* What firmware without variables starts from: EFI/BOOT/BOOT<arch>.EFI on the ESP mounted
 * at esp, and what that loads in turn. Returns the copies to make (at most max), 0 when
 * the fallback is there already; PREP_LOADER when there is nothing to copy. ret_loader
 * gets the loader that a Boot#### entry should name, as "\EFI\debian\shimx64.efi". */
int boot_efi_fallback(const struct fs_root *r, const char *esp, struct boot_copy *ret,
	int max, char *ret_loader, size_t size, struct err *err);

/* nvram.c: variables of this machine's firmware, through efivarfs */
struct boot_efi_part {
	unsigned number;
	uint64_t start, sectors; /* in logical blocks */
	char uuid[64];           /* PARTUUID */
};
/* 0: an entry like that exists already; 1: it is missing. */
int boot_nvram_check(const struct boot_efi_part *p, const char *loader, struct err *err);
/* Makes the entry, first in BootOrder. ret_name: "Boot0003". */
int boot_nvram_write(const struct boot_efi_part *p, const char *loader, const char *title,
	char ret_name[16], struct err *err);

#endif
