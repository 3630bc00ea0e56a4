/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unified kernel images: an EFI program whose sections are kernel, initramfs and command
 * line (UAPI group's specification; headers by Microsoft's PE/COFF specification,
 * sections 2 to 4).
 */
#include "boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/fdio.h"

#define HEAD_BYTES 65536  /* headers and section table end long before */
#define PE_AT 0x3c        /* of the DOS header: where the PE header is */
#define COFF_BYTES 24     /* with its signature */
#define SECTION_BYTES 40
#define MAX_SECTIONS 96   /* the specification's limit for the loader */

static const char *const names[BOOT_UKI_SECTIONS] = {
	[BOOT_UKI_LINUX] = ".linux", [BOOT_UKI_INITRD] = ".initrd",
		[BOOT_UKI_CMDLINE] = ".cmdline",
	[BOOT_UKI_OSREL] = ".osrel", [BOOT_UKI_UNAME] = ".uname",
};

static void take_section(const uint8_t *s, uint64_t file_size, struct boot_uki *ret)
{
	char name[9] = "";
	/* The raw size is rounded up to the file's alignment,
	 * the virtual one is what was put in. */
	uint64_t used = bytes_le32(s + 8), raw = bytes_le32(s + 16),
		off = bytes_le32(s + 20);

	memcpy(name, s, 8);
	if (!used || used > raw)
		used = raw;
	if (!used || off > file_size || used > file_size - off)
		return;
	/* Of several, as profiles have them, the first is the one
	 * that starts by default. */
	for (int i = 0; i < BOOT_UKI_SECTIONS; i++)
		if (!strcmp(name, names[i]) && !ret->part[i].len)
			ret->part[i] = (struct boot_uki_part){ off, used };
}

bool boot_uki_parse(const void *head, size_t len, uint64_t file_size,
	struct boot_uki *ret)
{
	const uint8_t *p = head;
	uint64_t pe, at;
	unsigned n;

	memset(ret, 0, sizeof(*ret));
	if (len < PE_AT + 4 || p[0] != 'M' || p[1] != 'Z')
		return false;
	pe = bytes_le32(p + PE_AT);
	if (pe > len || len - pe < COFF_BYTES || memcmp(p + pe, "PE\0\0", 4))
		return false;
	n = bytes_le16(p + pe + 6);
	at = pe + COFF_BYTES + bytes_le16(p + pe + 20);
	if (n > MAX_SECTIONS || at > len || len - at < (uint64_t)n * SECTION_BYTES)
		return false;
	for (unsigned i = 0; i < n; i++)
		take_section(p + at + (uint64_t)i * SECTION_BYTES, file_size, ret);
	return ret->part[BOOT_UKI_LINUX].len != 0;
}

/* A short text without its line break; one that is too long is no such text. */
static int read_text(int fd, const char *path, const struct boot_uki_part *p, char *ret,
	size_t size, struct err *err)
{
	*ret = '\0';
	if (!p->len || p->len >= size)
		return 0;
	if (fdio_pread(fd, ret, (size_t)p->len, p->off) < 0)
		return err_sys(err, ERR_FS_MOUNT, "read %s", path);
	ret[p->len] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	return 0;
}

int boot_uki_read(const struct fs_root *r, const char *path, struct boot_uki *ret,
	struct err *err)
{
	CLEANUP_CLOSE int fd = fs_open(r, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	CLEANUP_FREE char *head = malloc(HEAD_BYTES);
	struct stat st;
	size_t len;

	if (!head)
		return err_set(err, ERR_NOMEM, "read %s: out of memory", path);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, ERR_FS_MOUNT, "open %s", path);
	len = st.st_size < HEAD_BYTES ? (size_t)st.st_size : HEAD_BYTES;
	if (!S_ISREG(st.st_mode))
		return 1;
	if (fdio_pread(fd, head, len, 0) < 0)
		return err_sys(err, ERR_FS_MOUNT, "read %s", path);
	if (!boot_uki_parse(head, len, (uint64_t)st.st_size, ret))
		return 1;
	if (read_text(fd, path, &ret->part[BOOT_UKI_UNAME], ret->uname,
		sizeof(ret->uname), err) < 0)
		return -1;
	return read_text(fd, path, &ret->part[BOOT_UKI_CMDLINE], ret->cmdline,
		sizeof(ret->cmdline), err);
}
