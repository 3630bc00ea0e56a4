/* SPDX-License-Identifier: Apache-2.0 */
/* A value of hostile metadata in a report as lvm2 writes it: it stays one value, or the
 * whole report is refused. What passes is of LVM's alphabet. */
#include <stdlib.h>
#include <string.h>

#include "fs/fs-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int see(void *ctx, yyjson_val *row, struct err *err)
{
	int *n = ctx;
	char text[256];

	(void)err;
	if (!fs_lvm_value(row, "vg_name", text, sizeof(text)) ||
	    strcmp(text, *n ? "vg2" : "vg") || yyjson_obj_size(row) != 2)
		abort();
	if (fs_lvm_value(row, "lv_name", text, sizeof(text)) && fs_lvm_is_name(text) &&
	    strpbrk(text, "/\"'\\ \n[]{}#=,@"))
		abort();
	++*n;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_STRBUF struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;
	int n = 0;

	if (memchr(data, 0, size))
		return 0;
	strbuf_str(&b, "{\"report\":[{\"vg\":[\n  {\"vg_name\":\"vg\", \"lv_name\":\"");
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '"')
			strbuf_str(&b, "\\");
		strbuf_add(&b, data + i, 1);
	}
	strbuf_str(&b, "\"},\n  {\"vg_name\":\"vg2\", \"lv_name\":\"\"}\n]}]}\n");
	if (!fs_lvm_rows(b.s, b.len, "vg", see, &n, &err) && n != 2)
		abort();
	return 0;
}
