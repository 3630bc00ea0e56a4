/* SPDX-License-Identifier: Apache-2.0 */
/* Loader configurations of a hostile guest.
 * Without a device to map nothing may change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool map_none(void *ctx, const char *spec, char *ret, size_t size)
{
	(void)ctx;
	(void)spec;
	(void)ret;
	(void)size;
	return false;
}

static bool map_all(void *ctx, const char *spec, char *ret, size_t size)
{
	(void)ctx;
	return !strncmp(spec, "/dev/sd", 7) &&
		(size_t)snprintf(ret, size, "UUID=x") < size;
}

static int entry(void *ctx, const struct boot_entry *e)
{
	(void)ctx;
	if (!e->kernel[0] || strlen(e->root) >= sizeof(e->root) ||
		(*e->id && !*e->menu && !boot_grub_is(e, e->id) && !strchr(e->id, '>')))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const rewrites[])(const char *, size_t, const struct boot_map *,
		struct strbuf *) = { boot_grub_rewrite, boot_bls_rewrite,
		boot_extlinux_rewrite, boot_cmdline_rewrite };
	const struct boot_map none = { .device = map_none }, all = { .device = map_all };
	const char *s = (const char *)data;
	struct boot_entry e;

	for (size_t i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++) {
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT, again = STRBUF_INIT;

		if (rewrites[i](s, size, &none, &out) || out.len != size ||
			(size && memcmp(out.s, s, size)))
			abort();
		strbuf_reset(&out);
		rewrites[i](s, size, &all, &out);
		if (out.len && rewrites[i](out.s, out.len, &all, &again))
			abort();
	}
	{
		CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

		boot_grub_default_rewrite(s, size, &all, &out);
	}
	boot_grub_entries(s, size, entry, NULL);
	boot_extlinux_entries(s, size, entry, NULL);
	boot_bls_entry(s, size, &e);
	boot_grub_uses_bls(s, size);
	return 0;
}
