/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job-internal.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int job_base64_decode(const char *text, size_t len, void *ret, size_t *ret_len)
{
	unsigned char *out = ret;
	size_t i, n = 0, digits = 0, pads = 0;
	uint32_t acc = 0;

	for (i = 0; i < len; i++) {
		int d;

		if (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' ||
		    text[i] == '\r')
			continue;
		if (text[i] == '=') {
			pads++;
			continue;
		}
		d = digit(text[i]);
		if (d < 0 || pads)
			return -1;
		acc = acc << 6 | (uint32_t)d;
		if (digits++ % 4)
			out[n++] = (unsigned char)(acc >> (6 - 2 * ((digits - 1) % 4)));
	}
	if (digits % 4 == 1 || pads > 2 || (pads && (digits + pads) % 4))
		return -1;
	*ret_len = n;
	return 0;
}
