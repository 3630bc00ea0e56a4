/* SPDX-License-Identifier: Apache-2.0 */
/* The stage that brings the network up. */
#include <string.h>

#include "base/log.h"
#include "job/job-internal.h"

#define NET_TIMEOUT_S 60

static int bring_up(struct job_runner *r, const struct net_config *c, struct err *err)
{
	struct net_link l;

	job_quiet(r, (c->timeout_s ? c->timeout_s : NET_TIMEOUT_S) + 30);
	if (net_bring_up(c, NET_TIMEOUT_S, &l, err) < 0)
		return -1;
	r->linked = true;
	log_info("NET %s %s (%s): %s%s%s", l.name, l.mac, l.driver, l.ipv4,
		*l.ipv4 && *l.ipv6 ? ", " : "", l.ipv6);
	job_init_send(r->env->init_fd, "status NET: %s %s", l.name,
		*l.ipv4 ? l.ipv4 : l.ipv6);
	return 0;
}

/* A job without a network section: DHCP on the first adapter that gets an answer. */
static int any_link(struct job_runner *r, struct err *err)
{
	struct net_link links[JOB_MAX_NETS];
	struct net_config c = { .dhcp4 = true };
	int i, n = net_links(links, JOB_MAX_NETS, err);

	if (n <= 1)
		return n < 0 ? -1 : bring_up(r, &c, err);
	for (i = 0; i < n && i < JOB_MAX_NETS; i++) {
		memcpy(c.mac, links[i].mac, sizeof(c.mac));
		err_clear(err);
		if (bring_up(r, &c, err) == 0)
			return 0;
		log_warn("NET %s", err->text);
	}
	return -1;
}

int job_stage_net(struct job_runner *r, struct err *err)
{
	int i;

	if (!r->job || !r->job->n_nets)
		return any_link(r, err);
	for (i = 0; i < r->job->n_nets; i++)
		if (bring_up(r, &r->job->nets[i], err) < 0)
			return err_wrap(err, "network[%d]", i);
	return 0;
}
