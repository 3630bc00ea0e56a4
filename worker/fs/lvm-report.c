/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of lvm2 about what stands on a disk. All text of it was written by the guest,
 * also text that LVM itself would refuse to write: in lines of NAME='value' a quote or a
 * line break inside of a value makes another value, or another volume. As JSON, which
 * lvm2 writes with quotes escaped, and nothing else, such a value is either read as it is
 * or spoils the whole document. What passes is held against LVM's own alphabet.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "fs/fs-internal.h"

#define NAME_MAX_BYTES 127 /* NAME_LEN of lvm2 with the NUL */
#define SYSTEM_ID_BYTES 128

static bool is_of(const char *s, const char *more)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(more, *s))
			return false;
	return true;
}

bool fs_lvm_is_name(const char *s)
{
	return *s && *s != '-' && strcmp(s, ".") && strcmp(s, "..") &&
		strlen(s) <= NAME_MAX_BYTES && is_of(s, "._-+");
}

bool fs_lvm_is_system_id(const char *s)
{
	return isalnum((unsigned char)*s) && strlen(s) <= SYSTEM_ID_BYTES &&
		is_of(s, "._-+") && strncmp(s, "localhost", 9);
}

bool fs_lvm_is_uuid(const char *s)
{
	return *s && strlen(s) < 40 && is_of(s, "-");
}

bool fs_lvm_node(const char *vg, const char *lv, char *ret, size_t size)
{
	const char *const parts[] = { vg, lv };
	size_t n = (size_t)snprintf(ret, size, "/dev/mapper/");

	for (int i = 0; i < 2; i++) {
		if (i && n + 1 < size)
			ret[n++] = '-';
		for (const char *p = parts[i]; *p; p++) {
			if (n + 3 > size)
				return false;
			if (*p == '-')
				ret[n++] = '-';
			ret[n++] = *p;
		}
	}
	ret[n] = '\0';
	return true;
}

bool fs_lvm_value(yyjson_val *row, const char *name, char *ret, size_t size)
{
	yyjson_val *v = yyjson_obj_get(row, name);
	const char *s = yyjson_get_str(v);

	*ret = '\0';
	if (!s || yyjson_get_len(v) >= size || strlen(s) != yyjson_get_len(v))
		return false;
	memcpy(ret, s, strlen(s) + 1);
	return true;
}

int fs_lvm_rows(const char *text, size_t len, const char *kind,
	int (*each)(void *ctx, yyjson_val *row, struct err *err), void *ctx,
	struct err *err)
{
	yyjson_doc *doc = yyjson_read(text, len, 0);
	yyjson_val *reports, *report, *row;
	size_t i, max, k, rows;
	int result = 0;

	reports = yyjson_obj_get(yyjson_doc_get_root(doc), "report");
	if (!yyjson_is_arr(reports))
		result = err_set(err, ERR_PREP_STACK,
			"the metadata of a volume group holds text that LVM does not allow");
	yyjson_arr_foreach(reports, i, max, report)
		yyjson_arr_foreach(yyjson_obj_get(report, kind), k, rows, row)
			if (!result)
				result = each(ctx, row, err);
	yyjson_doc_free(doc);
	return result;
}
