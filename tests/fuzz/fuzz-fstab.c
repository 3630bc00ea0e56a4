/* SPDX-License-Identifier: Apache-2.0 */
/* fstab, crypttab and interfaces of a hostile guest.
 * A rewrite finds nothing the second time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/guest-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool map(void *ctx, const char *spec, char *ret, size_t size)
{
	struct guest_device d;

	(void)ctx;
	return guest_parse_device(spec, &d) &&
		(size_t)snprintf(ret, size, "UUID=%d-%d-%d", d.bus, d.id, d.part) < size;
}

static int entry(void *ctx, const struct fstab_entry *e)
{
	(void)ctx;
	if (strlen(e->spec) >= sizeof(e->spec) || strlen(e->point) >= sizeof(e->point))
		abort();
	return 0;
}

static void name(void *ctx, const char *s)
{
	(void)ctx;
	if (strpbrk(s, " \t\n"))
		abort();
}

static void twice(int (*fn)(const char *, size_t, const struct boot_map *,
	struct strbuf *), const char *s, size_t len)
{
	const struct boot_map m = { .device = map };
	CLEANUP_STRBUF struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;
	int n = fn(s, len, &m, &once);

	if (!n && (once.len != len || (len && memcmp(once.s, s, len))))
		abort();
	if (once.len && fn(once.s, once.len, &m, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;

	twice(guest_fstab_rewrite, s, size);
	twice(guest_crypttab_rewrite, s, size);
	guest_fstab_entries(s, size, entry, NULL);
	guest_ifupdown_names(s, size, name, NULL);
	return 0;
}
