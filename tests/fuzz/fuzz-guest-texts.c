/* SPDX-License-Identifier: Apache-2.0 */
/* Units, configuration of initramfs tools, LVM, md, X, autofs and debconf of a hostile
 * guest. A rewrite that changes nothing keeps every byte, and a second one finds
 * nothing. */
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

static int xorg(const char *s, size_t len, const struct boot_map *m, struct strbuf *out)
{
	(void)m;
	return guest_xorg_rewrite(s, len, "modesetting", out);
}

static void check(int n, const struct strbuf *out, const char *s, size_t len)
{
	if (!n && (out->len != len || (len && memcmp(out->s, s, len))))
		abort();
}

static void rewrite(int (*fn)(const char *, size_t, const struct boot_map *,
	struct strbuf *), const char *s, size_t len)
{
	const struct boot_map m = { .device = map };
	CLEANUP_STRBUF struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;

	check(fn(s, len, &m, &once), &once, s, len);
	if (once.len && fn(once.s, once.len, &m, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_STRBUF struct strbuf once = STRBUF_INIT, again = STRBUF_INIT;
	char *s = malloc(size + 1); /* of its own, so that a read past the end is seen */
	char what[64], type[64];

	if (!s)
		abort();
	if (size)
		memcpy(s, data, size);
	s[size] = '\0'; /* as fs_read */
	rewrite(guest_unit_rewrite, s, size);
	rewrite(guest_dracut_rewrite, s, size);
	rewrite(guest_kdump_rewrite, s, size);
	rewrite(guest_mdadm_rewrite, s, size);
	rewrite(guest_lvm_rewrite, s, size);
	rewrite(guest_autofs_rewrite, s, size);
	rewrite(xorg, s, size);
	if (guest_debconf_rewrite(s, size, "/dev/vda", &once) &&
		guest_debconf_rewrite(once.s, once.len, "/dev/vda", &again))
		abort();
	guest_unit_mount(s, size, what, type, sizeof(what));
	if (strlen(what) >= sizeof(what) || guest_cpu_level(s, size) > 4)
		abort();
	guest_config_drivers(s, size);
	free(s);
	return 0;
}
