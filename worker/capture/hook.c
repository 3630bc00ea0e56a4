/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's programs: databases are made to write everything before a freeze. */
#include <errno.h>

#include "base/log.h"
#include "base/spawn.h"
#include "capture/capture.h"

struct hook {
	const char *program;
	void (*tick)(void *ctx);
	void *ctx;
};

static void on_line(void *ctx, const char *line)
{
	const struct hook *h = ctx;

	log_info("%s: %s", h->program, line);
}

static void on_tick(void *ctx)
{
	const struct hook *h = ctx;

	if (h->tick)
		h->tick(h->ctx);
}

int capture_hook(const char *program, const char *what, unsigned limit_s,
	void (*tick)(void *ctx), void *ctx, const _Atomic bool *cancel, struct err *err)
{
	const char *const argv[] = { program, what, NULL };
	struct hook hook = { program, tick, ctx };
	struct spawn sp = { .argv = argv, .timeout_s = limit_s, .line = on_line,
		.tick = on_tick, .cancel = cancel, .ctx = &hook };
	struct spawn_result result;

	log_info("%s %s: started, for at most %u s", program, what, limit_s);
	if (spawn_run(&sp, &result, err) < 0)
		err->code = ERR_SRC_HOOK;
	else if (result.status)
		err_set(err, ERR_SRC_HOOK, "%s %s: exit status %d%s%s", program, what,
			result.status, result.last_line[0] ? ": " : "", result.last_line);
	else
		return 0;
	err->sys = EPERM; /* what PROTOCOL.md has for it */
	return -1;
}
