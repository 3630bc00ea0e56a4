/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "serve/serve-internal.h"

#define NS 1000000000u
#define BURST_NS (NS / 20) /* an idle link may be made up for that long */

void serve_limit_init(struct serve_limit *l, uint64_t rate)
{
	pthread_mutex_init(&l->lock, NULL);
	l->rate = rate;
	l->next = 0;
}

bool serve_limit_set(struct serve_limit *l, uint64_t rate)
{
	bool changed;

	pthread_mutex_lock(&l->lock);
	changed = l->rate != rate;
	if (changed) {
		l->next = 0;
		l->changes++;
	}
	l->rate = rate;
	pthread_mutex_unlock(&l->lock);
	return changed;
}

uint64_t serve_limit_take(struct serve_limit *l, uint64_t bytes)
{
	uint64_t now = clock_now_ns(), wait = 0;

	pthread_mutex_lock(&l->lock);
	if (l->rate) {
		if (l->next + BURST_NS < now)
			l->next = now - BURST_NS;
		wait = l->next > now ? l->next - now : 0;
		l->next += (uint64_t)((double)bytes * NS / (double)l->rate);
	}
	pthread_mutex_unlock(&l->lock);
	return wait;
}
