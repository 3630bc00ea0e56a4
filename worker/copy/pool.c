/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with their buffers, bounded in bytes, and how large and how fast requests may be. The
 * buffers are one mapping: a place costs memory only as far as it was ever used.
 */
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "copy/copy-internal.h"

#define BUDGET_MAX (32u << 20)
#define BUDGET_MIN (8u << 20)
#define ADAPT_MS 200
#define REQUESTS_OF_A_LINK 16 /* replication.md 5.1: size = rate x RTT / 16 */

int copy_pool_init(struct copy_job *job, struct err *err)
{
	struct sysinfo si;
	void *p = mmap(NULL, (size_t)COPY_MAX_REQS * SOURCE_MAX_REQUEST, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return err_sys(err, ERR_NOMEM, "buffers for the copy");
	job->buffers = p;
	job->budget = job->opt->memory;
	if (!job->budget) {
		job->budget = BUDGET_MAX;
		if (!sysinfo(&si) && (uint64_t)si.totalram * si.mem_unit / 6 < job->budget)
			job->budget = (uint64_t)si.totalram * si.mem_unit / 6;
	}
	if (job->budget < BUDGET_MIN)
		job->budget = BUDGET_MIN;
	/* Last in, first out: the same few places are used again and again. */
	for (int i = COPY_MAX_REQS - 1; i >= 0; i--) {
		job->reqs[i].r.buf = job->buffers + (size_t)i * SOURCE_MAX_REQUEST;
		job->reqs[i].next_free = job->free;
		job->free = &job->reqs[i];
	}
	job->request_cap = source_get_info(job->src)->max_request;
	job->request = COPY_MIN_REQUEST < job->request_cap ? COPY_MIN_REQUEST : job->request_cap;
	return 0;
}

void copy_pool_free(struct copy_job *job)
{
	if (job->buffers)
		munmap(job->buffers, (size_t)COPY_MAX_REQS * SOURCE_MAX_REQUEST);
}

struct copy_req *copy_pool_take(struct copy_job *job, uint32_t len)
{
	struct copy_req *q = job->free;

	if (!q || job->in_use + len > job->budget)
		return NULL;
	job->free = q->next_free;
	job->in_use += len;
	q->r.len = len;
	if (len > q->touched) {
		job->touched += len - q->touched;
		q->touched = len;
	}
	return q;
}

void copy_pool_give(struct copy_job *job, struct copy_req *q)
{
	job->in_use -= q->r.len;
	/* When the size of requests changes, other places are used: the old ones go back. */
	if (job->touched > job->budget) {
		madvise(q->r.buf, SOURCE_MAX_REQUEST, MADV_DONTNEED);
		job->touched -= q->touched;
		q->touched = 0;
	}
	q->owner = NULL;
	q->next_free = job->free;
	job->free = q;
}

uint32_t copy_pool_request_size(struct copy_job *job)
{
	return job->request;
}

/* The fastest answer of a while is the link's latency; rate x latency is what is on the way. */
void copy_pool_measure(struct copy_job *job, const struct copy_req *q)
{
	uint64_t now = clock_now_ns(), latency = now - q->submitted_ns, window;
	uint32_t best;
	double want;

	if (!job->min_latency_ns || latency < job->min_latency_ns)
		job->min_latency_ns = latency;
	job->adapt_bytes += q->r.len;
	window = now / 1000000 - job->adapt_at_ms;
	if (window < ADAPT_MS)
		return;
	want = (double)job->adapt_bytes / (double)window * 1000 *
		(double)job->min_latency_ns / 1e9 / REQUESTS_OF_A_LINK;
	best = want > 640 * 1024 ? 1u << 20 : want > 320 * 1024 ? 512u << 10 : COPY_MIN_REQUEST;
	job->request = best < job->request_cap ? best : job->request_cap;
	job->adapt_at_ms = now / 1000000;
	job->adapt_bytes = 0;
	job->min_latency_ns = 0;
}

bool copy_pool_allowed(struct copy_job *job, uint32_t len)
{
	uint64_t rate = job->ctl->bandwidth, now = clock_now_ms();
	double burst;

	if (!rate) {
		job->tokens_at_ms = now;
		return true;
	}
	burst = (double)rate / 4 > SOURCE_MAX_REQUEST ? (double)rate / 4 : SOURCE_MAX_REQUEST;
	job->tokens += (double)(now - job->tokens_at_ms) * (double)rate / 1000;
	job->tokens_at_ms = now;
	if (job->tokens > burst)
		job->tokens = burst;
	if (job->tokens < len)
		return false;
	job->tokens -= len;
	return true;
}
