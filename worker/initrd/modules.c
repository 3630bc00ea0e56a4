/* SPDX-License-Identifier: Apache-2.0 */
#include "initrd/initrd.h"

#include <string.h>

bool initrd_module_name(const char *path, char *ret, size_t size)
{
	static const char *const ends[] = { ".ko", ".ko.gz", ".ko.xz", ".ko.zst", ".o",
		NULL };
	const char *name = strrchr(path, '/');
	size_t len;

	name = name ? name + 1 : path;
	len = strlen(name);
	for (int i = 0; ends[i]; i++) {
		size_t end = strlen(ends[i]);

		if (len <= end || strcmp(name + len - end, ends[i]))
			continue;
		len -= end;
		if (len >= size)
			return false;
		for (size_t k = 0; k < len; k++)
			ret[k] = name[k] == '-' ? '_' : name[k];
		ret[len] = '\0';
		return true;
	}
	return false;
}
