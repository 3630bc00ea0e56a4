/* SPDX-License-Identifier: Apache-2.0 */
/* Every decoder of the drive protocol, on the same bytes. The first byte chooses. */
#include "proto/proto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len);

static void data(const uint8_t *in, size_t len)
{
	struct proto_frame f = { .type = PROTO_DATA };
	struct err err = ERR_INIT;
	struct proto_data d;
	uint32_t request;

	if (len < 9)
		return;
	memcpy(&f.raw, in, 4);
	memcpy(&request, in + 4, 4);
	f.flags = in[8];
	f.len = (uint32_t)(len - 9);
	if (!proto_get_data(&f, in + 9, request % (PROTO_MAX_READ + 2), &d, &err) &&
		(d.bytes + d.len != in + len || d.raw > PROTO_MAX_READ))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t len)
{
	static struct proto_extent e[PROTO_MAX_EXTENTS];
	struct err err = ERR_INIT;
	struct proto_hello h;
	struct proto_welcome w;
	struct proto_disk d;
	struct proto_frame f;
	uint8_t again[PROTO_HEADER];
	uint64_t sum = 0;
	size_t n;

	if (!len--)
		return 0;
	switch (*in++ % 6) {
	case 0:
		if (len >= PROTO_HEADER && !proto_get_header(in, &f, &err)) {
			proto_put_header(again, &f);
			if (memcmp(again, in, PROTO_HEADER))
				abort();
		}
		break;
	case 1:
		proto_get_hello(in, len, &h, &err);
		break;
	case 2:
		proto_get_welcome(in, len, &w, &err);
		break;
	case 3:
		while (proto_next_disk(&in, &len, &d, &err) > 0)
			if (d.size > INT64_MAX)
				abort();
		break;
	case 4:
		if (!proto_get_extents(in, len, 1ull << 40, e, PROTO_MAX_EXTENTS, &n,
			&err)) {
			for (size_t i = 0; i < n; i++)
				sum += e[i].len;
			if (sum > 1ull << 40)
				abort();
		}
		break;
	default:
		data(in, len);
	}
	return 0;
}
