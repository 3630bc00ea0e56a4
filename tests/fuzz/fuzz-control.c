/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a hostile controller. The first byte chooses the decoder,
 * the rest is the answer. */
#include <stdlib.h>
#include <string.h>

#include "control/control-internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a decoder let through must keep the promises of controller-api.yaml. */
static void check_commands(const struct control_commands *list)
{
	if (list->n < 0 || list->n > CONTROL_MAX_COMMANDS)
		abort();
	for (int i = 0; i < list->n; i++)
		if (!list->list[i].seq || !list->list[i].id[0] ||
		    strlen(list->list[i].id) > 63 || !list->list[i].verb[0] ||
		    strlen(list->list[i].verb) > 32)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct control_commands list;
	struct control_registration reg;
	struct control_problem problem;
	struct err err = ERR_INIT;
	char sha256[65], clean[64], *copy;
	const char *buf = (const char *)data + 1;
	unsigned interval;
	uint64_t n;
	size_t len;
	int then;

	if (!size--)
		return 0;
	switch (data[0] % 7) {
	case 0:
		if (!control_decode_register(buf, size, &reg, &err) &&
		    (!reg.worker_id[0] || strpbrk(reg.worker_id, "/?\r\n ") ||
			    strpbrk(reg.token, "\r\n ") || !reg.heartbeat_s))
			abort();
		break;
	case 1:
		if (!control_decode_commands(buf, size, &list, &err))
			check_commands(&list);
		break;
	case 2:
		if (!control_decode_heartbeat(buf, size, &interval, &list, &err)) {
			check_commands(&list);
			if (!interval || interval > 600)
				abort();
		}
		break;
	case 3:
		control_decode_events(buf, size, 3, &err);
		break;
	case 4:
		if (!control_decode_log(buf, size, &n, &err) && n > INT64_MAX)
			abort();
		copy = NULL;
		if (!control_decode_journal(buf, size, 100, &copy, &len, &err) &&
		    (len > 100 || !copy != !len))
			abort();
		free(copy);
		break;
	case 5:
		if (!control_decode_result(buf, size, sha256, &then, &err) &&
		    (then < -1 || then > JOB_HOLD))
			abort();
		break;
	default:
		control_decode_problem(buf, size, &problem);
		copy = strndup(buf, size);
		if (copy)
			control_clean_text(copy, clean, sizeof(clean) - 1);
		free(copy);
	}
	return 0;
}
