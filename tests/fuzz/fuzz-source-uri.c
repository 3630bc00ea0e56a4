/* SPDX-License-Identifier: Apache-2.0 */
/* URIs of sources: every part must be a string that ends within the text. */
#include <stdlib.h>
#include <string.h>

#include "source/source-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source_uri u;
	struct err err = ERR_INIT;
	char *text = malloc(size + 1);
	size_t sum;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (source_uri_parse(text, &u, &err) == 0) {
		sum = strlen(u.scheme) + strlen(u.path) + (u.host ? strlen(u.host) : 0) +
			(u.user ? strlen(u.user) : 0);
		for (unsigned i = 0; i < u.n_params; i++)
			sum += strlen(u.params[i].key) + strlen(u.params[i].value);
		if (sum > size)
			abort();
	} else if (!err.code) {
		abort();
	}
	free(text);
	return 0;
}
