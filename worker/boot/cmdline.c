/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"

#include <stdio.h>
#include <string.h>

/* Words whose value is a device, from kernel-parameters.txt,
 * dracut.cmdline(7) and others. */
static const char *const keys[] = {
	"root=", "resume=", "swap=", "rootflags.dev=", "rd.luks.device=", "rd.swap=",
	"cryptdevice=", "systemd.gpt_auto.root=", "mount.usr=", "rootpartition=",
};
#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_word(char c)
{
	return is_space(c) || c == '"' || c == '\'' || c == '\0';
}

static size_t device_key(const char *word, size_t len)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		size_t k = strlen(keys[i]);

		if (len > k && !memcmp(word, keys[i], k))
			return k;
	}
	return 0;
}

int boot_cmdline_rewrite(const char *s, size_t len, const struct boot_map *m,
	struct strbuf *out)
{
	int changed = 0;
	size_t i = 0;

	if (m->cmdline)
		return m->cmdline(m->ctx, s, len, out);
	while (i < len) {
		char spec[256], name[256];
		size_t start = i, key, n;

		while (i < len && ends_word(s[i]))
			i++;
		strbuf_add(out, s + start, i - start);
		start = i;
		while (i < len && !ends_word(s[i]))
			i++;
		n = i - start;
		key = device_key(s + start, n);
		/* cryptdevice=DEV:NAME and the like keep what follows the colon */
		if (key && n - key < sizeof(spec)) {
			size_t value = n - key;
			const char *colon = memchr(s + start + key, ':', value);
			size_t dev = colon ? (size_t)(colon - (s + start + key)) : value;

			memcpy(spec, s + start + key, dev);
			spec[dev] = '\0';
			if (dev && m->device(m->ctx, spec, name, sizeof(name))) {
				strbuf_add(out, s + start, key);
				strbuf_str(out, name);
				strbuf_add(out, s + start + key + dev, value - dev);
				changed++;
				continue;
			}
		}
		strbuf_add(out, s + start, n);
	}
	return changed;
}

bool boot_cmdline_get(const char *s, size_t len, const char *key, char *ret, size_t size)
{
	size_t k = strlen(key), i = 0;
	bool found = false;

	while (i < len) {
		size_t start, n;

		while (i < len && ends_word(s[i]))
			i++;
		start = i;
		while (i < len && !ends_word(s[i]))
			i++;
		n = i - start;
		if (n < k || memcmp(s + start, key, k) || n - k >= size)
			continue;
		memcpy(ret, s + start + k, n - k);
		ret[n - k] = '\0';
		found = true;
	}
	return found;
}
