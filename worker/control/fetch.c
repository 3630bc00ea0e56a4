/* SPDX-License-Identifier: Apache-2.0 */
#include "control/control-internal.h"

#include <string.h>

#define TIMEOUT_S 60

int control_fetch(const char *url, const char (*pins)[64], int n_pins, struct strbuf *ret,
	struct err *err)
{
	const char *list[JOB_MAX_PINS + 1] = { NULL };
	struct control_http_config cfg = { .url = url, .pins = list };
	struct control_request q =
		{ .method = "GET", .path = "", .timeout_s = TIMEOUT_S };
	struct control_response answer;
	struct control_http *h;
	int i, rc;

	memset(&answer, 0, sizeof(answer));
	for (i = 0; i < n_pins && i < JOB_MAX_PINS; i++)
		list[i] = pins[i];
	if (control_http_open(&cfg, &h, err) < 0)
		return -1;
	rc = control_http_run(h, &q, &answer, err);
	control_http_close(h);
	if (rc == 0 && answer.status != 200)
		rc = err_set(err, ERR_CFG_MISSING, "%s: HTTP status %ld", url,
			answer.status);
	if (rc == 0)
		strbuf_add(ret, answer.body.s ? answer.body.s : "", answer.body.len);
	if (answer.body.s)
		explicit_bzero(answer.body.s, answer.body.len);
	strbuf_free(&answer.body);
	return rc;
}
