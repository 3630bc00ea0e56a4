/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with their buffers, bounded in bytes, and how large and how fast requests may be. The
 * buffers are one mapping of as much as the budget allows, cut like a buddy allocator does: a
 * request has a run of leaves that is a power of two long and begins at a multiple of that. The
 * lowest free run is taken, so that a copy that needs little memory keeps to little.
 */
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "copy/copy-internal.h"

#define BUDGET_DEFAULT (32u << 20)
#define BUDGET_MIN (8u << 20)
#define HUGE_PAGE (2u << 20)
#define ADAPT_MS 200
#define REQUESTS_OF_A_LINK 16 /* replication.md 5.1: size = rate x RTT / 16 */

static uint64_t choose_budget(const struct copy_job *job)
{
	uint64_t budget = job->opt->memory;
	struct sysinfo si;

	if (!budget) {
		budget = BUDGET_DEFAULT;
		if (!sysinfo(&si) && (uint64_t)si.totalram * si.mem_unit / 6 < budget)
			budget = (uint64_t)si.totalram * si.mem_unit / 6;
	}
	if (budget < BUDGET_MIN)
		budget = BUDGET_MIN;
	return budget < COPY_BUDGET_MAX ? budget / HUGE_PAGE * HUGE_PAGE : COPY_BUDGET_MAX;
}

int copy_pool_init(struct copy_job *job, struct err *err)
{
	uint8_t *p;

	job->budget = choose_budget(job);
	job->mapped = job->budget + HUGE_PAGE;
	p = mmap(NULL, job->mapped, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(err, ERR_NOMEM, "buffers for the copy");
	job->mapping = p;
	job->buffers = p + (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE;
	/* A few hundred page faults less a second; a kernel without them has small pages. */
	madvise(job->buffers, job->budget, MADV_HUGEPAGE);
	for (int i = COPY_MAX_REQS - 1; i >= 0; i--) {
		job->reqs[i].next_free = job->free;
		job->free = &job->reqs[i];
	}
	job->request_cap = source_get_info(job->src)->max_request;
	job->request = COPY_MIN_REQUEST < job->request_cap ? COPY_MIN_REQUEST : job->request_cap;
	return 0;
}

void copy_pool_free(struct copy_job *job)
{
	if (job->mapping)
		munmap(job->mapping, job->mapped);
}

/* Leaves that a request of len takes: a power of two, which divides the bits of a word. */
static unsigned run_of(uint32_t len)
{
	unsigned n = 1;

	while (n * SOURCE_LEAF < len)
		n *= 2;
	return n;
}

/* The first leaf of the lowest free run of n; -1 when there is none. */
static int find_run(const struct copy_job *job, unsigned n)
{
	uint64_t mask = (1ull << n) - 1;
	unsigned leaves = (unsigned)(job->budget / SOURCE_LEAF);

	_Static_assert(SOURCE_MAX_LEAVES < 64, "a run fits a word");
	for (unsigned i = 0; i < leaves; i += n)
		if (!(job->used[i / 64] >> i % 64 & mask))
			return (int)i;
	return -1;
}

bool copy_pool_has_room(const struct copy_job *job, uint32_t len)
{
	return job->free && find_run(job, run_of(len)) >= 0;
}

struct copy_req *copy_pool_take(struct copy_job *job, uint32_t len)
{
	unsigned n = run_of(len);
	int at = find_run(job, n);
	struct copy_req *q = job->free;

	if (!q || at < 0)
		return NULL;
	job->free = q->next_free;
	job->used[at / 64] |= ((1ull << n) - 1) << at % 64;
	q->r.buf = job->buffers + (size_t)at * SOURCE_LEAF;
	q->r.len = len;
	return q;
}

void copy_pool_give(struct copy_job *job, struct copy_req *q)
{
	size_t at = (size_t)((uint8_t *)q->r.buf - job->buffers) / SOURCE_LEAF;

	job->used[at / 64] &= ~(((1ull << run_of(q->r.len)) - 1) << at % 64);
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
	/* A server that keeps the limit counts what is on the wire: twice would be too much. */
	uint64_t rate = source_get_info(job->src)->limits ? 0 : job->ctl->bandwidth;
	uint64_t now = clock_now_ms();
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
