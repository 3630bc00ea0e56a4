/* SPDX-License-Identifier: Apache-2.0 */
/* Boot#### and BootOrder (UEFI 2.10 section 3.3). */
#include "boot/boot.h"

#include <ctype.h>
#include <efivar/efiboot.h>
#include <efivar/efivar.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define OPTION_MAX 4096
#define ACTIVE 1 /* LOAD_OPTION_ACTIVE */
#define ATTRIBUTES (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | \
	EFI_VARIABLE_RUNTIME_ACCESS)

/* A GUID as firmware stores it: the first three fields little-endian. */
static bool parse_guid(const char *s, uint8_t ret[16])
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13,
		14, 15 };
	int n = 0;

	for (; *s && n < 32; s++) {
		int d;

		if (*s == '-')
			continue;
		if (!isxdigit((unsigned char)*s))
			return false;
		d = *s <= '9' ? *s - '0' : (*s | 0x20) - 'a' + 10;
		ret[order[n / 2]] = (uint8_t)(n % 2 ? ret[order[n / 2]] | d : d << 4);
		n++;
	}
	return n == 32 && !*s;
}

/* HD(n,GPT,guid,start,size)/File(loader) */
static ssize_t device_path(const struct boot_efi_part *p, const char *loader,
	uint8_t *buf, size_t size)
{
	char file[256];
	uint8_t guid[16];
	ssize_t off = 0, n;

	if (!parse_guid(p->uuid, guid))
		return -1;
	snprintf(file, sizeof(file), "%s", loader);
	n = efidp_make_hd(buf, (ssize_t)size, p->number, p->start, p->sectors, guid,
		EFIDP_HD_FORMAT_GPT, EFIDP_HD_SIGNATURE_GUID);
	if (n < 0)
		return -1;
	off += n;
	n = efidp_make_file(buf + off, (ssize_t)size - off, file);
	if (n < 0)
		return -1;
	off += n;
	n = efidp_make_end_entire(buf + off, (ssize_t)size - off);
	return n < 0 ? -1 : off + n;
}

#define EFIVARS "/sys/firmware/efi/efivars"

/* The image keeps the variables read-only until one has to be written.
 * Returns what they were. */
static bool set_read_only(bool read_only)
{
	unsigned long flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	struct statvfs vfs;
	bool was = !statvfs(EFIVARS, &vfs) && (vfs.f_flag & ST_RDONLY);

	/* a failure shows when the variable is written */
	if (was != read_only)
		mount(NULL, EFIVARS, NULL, flags | (read_only ? MS_RDONLY : 0), NULL);
	return was;
}

struct found {
	bool used[65536];
	bool same;
};

/* Marks the numbers in use and looks for an entry with this path. */
static int scan(struct found *f, const uint8_t *path, size_t path_len, struct err *err)
{
	efi_guid_t *guid = NULL;
	char *name = NULL;
	int more;

	while ((more = efi_get_next_variable_name(&guid, &name)) > 0) {
		unsigned number;
		uint8_t *data = NULL;
		size_t size = 0;
		uint32_t attributes;
		char end;

		if (efi_guid_cmp(guid, &efi_guid_global) || strlen(name) != 8 ||
			sscanf(name, "Boot%4x%c", &number, &end) != 1)
			continue;
		f->used[number & 0xffff] = true;
		if (efi_get_variable(*guid, name, &data, &size, &attributes) < 0)
			continue;
		/* attributes, length of the path, title in UCS-2 with its NUL, path */
		if (size > 6 && bytes_le16(data + 4) == path_len) {
			size_t at = 6;

			while (at + 2 <= size && bytes_le16(data + at))
				at += 2;
			at += 2;
			if (bytes_in_range(at, path_len, size) &&
			    !memcmp(data + at, path, path_len))
				f->same = true;
		}
		free(data);
	}
	if (more < 0)
		return err_sys(err, ERR_PREP_LOADER, "list the firmware's variables");
	return 0;
}

static int look(const struct boot_efi_part *p, const char *loader, uint8_t *path,
	size_t size, ssize_t *ret_len, struct found *f, struct err *err)
{
	if (!efi_variables_supported())
		return err_set(err, ERR_PREP_LOADER,
			"this machine's firmware offers no variables");
	*ret_len = device_path(p, loader, path, size);
	if (*ret_len < 0)
		return err_set(err, ERR_PREP_LOADER, "no device path for %s", loader);
	return scan(f, path, (size_t)*ret_len, err);
}

int boot_nvram_check(const struct boot_efi_part *p, const char *loader, struct err *err)
{
	CLEANUP_FREE struct found *f = calloc(1, sizeof(*f));
	uint8_t path[1024];
	ssize_t len;

	if (!f)
		return err_set(err, ERR_NOMEM, "look at the firmware's variables");
	if (look(p, loader, path, sizeof(path), &len, f, err) < 0)
		return -1;
	return f->same ? 0 : 1;
}

static int put_first(unsigned number, struct err *err)
{
	CLEANUP_FREE uint8_t *old = NULL;
	CLEANUP_FREE uint8_t *order = NULL;
	size_t size = 0;
	uint32_t attributes;

	if (efi_get_variable(efi_guid_global, "BootOrder", &old, &size,
		&attributes) < 0) {
		if (errno != ENOENT) /* that is an empty variable store */
			return err_sys(err, ERR_PREP_LOADER, "read BootOrder");
		size = 0;
	}
	order = malloc(size + 2);
	if (!order)
		return err_set(err, ERR_NOMEM, "write BootOrder");
	bytes_put_le16(order, (uint16_t)number);
	if (size)
		memcpy(order + 2, old, size);
	if (efi_set_variable(efi_guid_global, "BootOrder", order, size + 2, ATTRIBUTES,
		0644) < 0)
		return err_sys(err, ERR_PREP_LOADER, "write BootOrder");
	return 0;
}

static int write_entry(const struct boot_efi_part *p, const char *loader,
	const char *title, char ret_name[16], struct err *err)
{
	CLEANUP_FREE struct found *f = calloc(1, sizeof(*f));
	unsigned char description[128];
	uint8_t path[1024], option[OPTION_MAX];
	unsigned number = 0;
	ssize_t len, n;

	if (!f)
		return err_set(err, ERR_NOMEM, "write the firmware's variables");
	if (look(p, loader, path, sizeof(path), &len, f, err) < 0)
		return -1;
	while (number < 0xffff && f->used[number])
		number++;
	snprintf((char *)description, sizeof(description), "%s", title);
	n = efi_loadopt_create(option, sizeof(option), ACTIVE, (efidp)path, len,
		description, NULL, 0);
	if (n < 0)
		return err_sys(err, ERR_PREP_LOADER, "make a boot entry for %s", loader);
	snprintf(ret_name, 16, "Boot%04X", number & 0xffff);
	if (efi_set_variable(efi_guid_global, ret_name, option, (size_t)n, ATTRIBUTES,
		0644) < 0)
		return err_sys(err, ERR_PREP_LOADER, "write %s", ret_name);
	return put_first(number, err);
}

int boot_nvram_write(const struct boot_efi_part *p, const char *loader, const char *title,
	char ret_name[16], struct err *err)
{
	bool was = set_read_only(false);
	int result = write_entry(p, loader, title, ret_name, err);

	set_read_only(was);
	return result;
}
