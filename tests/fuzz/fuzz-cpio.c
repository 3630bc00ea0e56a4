/* SPDX-License-Identifier: Apache-2.0 */
/* initramfs images of a hostile guest: archives and every compression. */
#include <stdlib.h>
#include <string.h>

#include "initrd/initrd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	const uint8_t *data;
	size_t len, at;
	uint64_t left; /* of the entry's data */
};

static ssize_t read_memory(void *ctx, void *buf, size_t len)
{
	struct memory *m = ctx;
	size_t n = m->len - m->at < len ? m->len - m->at : len;

	memcpy(buf, m->data + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

static int entry(void *ctx, const struct initrd_entry *e)
{
	struct memory *m = ctx;
	char name[64];

	if (strlen(e->name) > INITRD_NAME_MAX)
		abort();
	if (initrd_module_name(e->name, name, sizeof(name)) && strchr(name, '-'))
		abort();
	m->left = e->size;
	return 0;
}

static int take(void *ctx, const struct initrd_entry *e, const void *buf, size_t len)
{
	struct memory *m = ctx;

	(void)e;
	(void)buf;
	if (len > m->left)
		abort();
	m->left -= len;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = { .data = data, .len = size };
	struct initrd_reader r = { .read = read_memory, .entry = entry, .data = take,
		.ctx = &m,
		.want_data = true };
	struct initrd_info info;
	struct strbuf out = STRBUF_INIT;

	initrd_walk(&r, &info);
	if (info.packed > size)
		abort();
	m = (struct memory){ .data = data, .len = size };
	initrd_expand(&r, 1 << 16, &out);
	strbuf_free(&out);
	return 0;
}
