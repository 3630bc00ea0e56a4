/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests with their buffers, bounded in bytes, and how large and how fast requests may
 * be. The buffers are one mapping of as much as the budget allows, cut like a buddy
 * allocator does: a request has a run of leaves that is a power of two long and begins at
 * a multiple of that. The lowest free run is taken, so that a copy that needs little
 * memory keeps to little.
 */
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "copy/copy-internal.h"

#define BUDGET_DEFAULT (40u << 20)
#define BUDGET_MIN (8u << 20)
#define HUGE_PAGE (2u << 20)
#define ADAPT_MS 200
#define REQUESTS_OF_A_LINK 16 /* of a connection; nbdkit serves as many at once */
#define NEAR_NS 20000000      /* answers within that need little on the way */
#define NEAR_SHARE 4          /* of the budget, then */

static uint64_t choose_budget(const struct copy_job *job)
{
	uint64_t budget = job->opt->memory;
	uint64_t channels =
		(uint64_t)job->n_slots * source_get_info(job->src)->channel_memory;
	struct sysinfo si;

	if (!budget) {
		budget = BUDGET_DEFAULT;
		if (!sysinfo(&si) && (uint64_t)si.totalram * si.mem_unit / 6 < budget)
			budget = (uint64_t)si.totalram * si.mem_unit / 6;
		/* What the channels need is part of it. */
		budget -= channels < budget ? channels : budget;
	}
	if (budget < BUDGET_MIN)
		budget = BUDGET_MIN;
	return budget < COPY_BUDGET_MAX ? budget / HUGE_PAGE * HUGE_PAGE :
		COPY_BUDGET_MAX;
}

static uint32_t least_request(const struct copy_job *job)
{
	uint32_t size = COPY_MIN_REQUEST;

	while (size < SOURCE_MAX_REQUEST && size < source_get_info(job->src)->optimum)
		size *= 2;
	return size;
}

/* As large as possible while all that a link serves at once is on its way. */
static uint32_t largest_request(const struct copy_job *job)
{
	uint64_t share = job->budget / job->n_slots / REQUESTS_OF_A_LINK;
	uint32_t size = least_request(job);

	while (size < SOURCE_MAX_REQUEST && size * 2 <= share)
		size *= 2;
	return size < job->request_cap ? size : job->request_cap;
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
	/* A few hundred page faults less a second;
	 * a kernel without them has small pages. */
	madvise(job->buffers, job->budget, MADV_HUGEPAGE);
	for (int i = COPY_MAX_REQS - 1; i >= 0; i--) {
		job->reqs[i].next_free = job->free;
		job->free = &job->reqs[i];
	}
	job->request_cap = source_get_info(job->src)->max_request;
	job->window = job->budget;
	job->request = largest_request(job);
	return 0;
}

void copy_pool_free(struct copy_job *job)
{
	if (job->mapping)
		munmap(job->mapping, job->mapped);
}

/* Leaves that a request of len takes: a power of two,
 * which divides the bits of a word. */
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

bool copy_pool_has_room(const struct copy_slot *slot, uint32_t len)
{
	const struct copy_job *job = slot->job;
	unsigned channels = 0;

	for (unsigned i = 0; i < job->n_slots; i++)
		channels += job->slots[i].chan != NULL;
	/* Each its share, so that none has all and the others nothing to do. */
	if (slot->in_flight &&
	    slot->in_flight_bytes + len > job->window / (channels ? channels : 1))
		return false;
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

/*
 * The fastest answer of all is the latency of the way: small requests fill a short one,
 * large ones a long one. The fastest answer of a while holds the time in our own queue,
 * too: when even that is short, a part of the budget on the way is enough and what it
 * holds stays in the processor's caches.
 */
void copy_pool_measure(struct copy_job *job, const struct copy_req *q)
{
	uint64_t now = clock_now_ns(), latency = now - q->submitted_ns, window;
	uint32_t size;
	double want;

	if (!job->base_latency_ns || latency < job->base_latency_ns)
		job->base_latency_ns = latency;
	if (!job->min_latency_ns || latency < job->min_latency_ns)
		job->min_latency_ns = latency;
	job->adapt_bytes += q->r.len;
	window = now / 1000000 - job->adapt_at_ms;
	if (window < ADAPT_MS)
		return;
	want = (double)job->adapt_bytes / (double)window * 1000 *
		(double)job->base_latency_ns / 1e9 / REQUESTS_OF_A_LINK;
	for (size = least_request(job); size < SOURCE_MAX_REQUEST && size < want;
	    size *= 2)
		;
	job->request = size < largest_request(job) ? size : largest_request(job);
	job->window = job->min_latency_ns < NEAR_NS ? job->budget / NEAR_SHARE :
		job->budget;
	job->adapt_at_ms = now / 1000000;
	job->adapt_bytes = 0;
	job->min_latency_ns = 0;
}

bool copy_pool_allowed(struct copy_job *job, uint32_t len)
{
	/* A server that keeps the limit counts what is on the wire:
	 * twice would be too much. */
	uint64_t rate = source_get_info(job->src)->limits ? 0 : job->ctl->bandwidth;
	uint64_t now = clock_now_ms();
	double burst;

	if (!rate) {
		job->tokens_at_ms = now;
		return true;
	}
	burst = (double)rate / 4 > SOURCE_MAX_REQUEST ? (double)rate / 4 :
		SOURCE_MAX_REQUEST;
	job->tokens += (double)(now - job->tokens_at_ms) * (double)rate / 1000;
	job->tokens_at_ms = now;
	if (job->tokens > burst)
		job->tokens = burst;
	if (job->tokens < len)
		return false;
	job->tokens -= len;
	return true;
}
