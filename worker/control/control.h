/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the controller: controller-api.yaml spoken over HTTPS with pinned keys.
 * control_open only checks the job's controller section; the first packet leaves with
 * job_port.announce, which also starts the two threads: a sender (events, heartbeats,
 * logs, result) and a poller (commands). A controller that cannot be reached never stops
 * the data plane: events wait in memory, and the threads try again after 1 to 60 s.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "job/job.h"

struct control;

/* Zero or NULL members mean the default. */
struct control_options {
	const char *boot_id;         /* default: /proc/sys/kernel/random/boot_id */
	unsigned backoff_max_s;      /* longest pause between two tries: 60 */
	unsigned request_timeout_s;  /* one request, without the long poll's wait: 30 */
	bool set_clock;              /* this machine's clock is ours to set (the image) */
	/* Once true, announce returns CANCELLED within a second and
	 * report after at most 3 s more. */
	const _Atomic bool *cancel;
};

/* job must have a controller section; it may go when this returns. opt may be NULL. No
 * traffic. CFG_INVALID when url, token or pins cannot be used. */
int control_open(const struct job *job, const struct control_options *opt,
	struct control **ret, struct err *err);

/*
 * Fills every member of a port. Besides what job.h says:
 * announce  facts is a JSON object; token, boot id and migration are added here. Fails
 *           with CTL_PIN, CTL_AUTH, CTL_GONE or CTL_PROTO at once and for good, with
 *           CTL_UNREACHABLE when the window has passed. May block that long: say so to
 *           the watchdog.
 * event     may be called before announce; the events then go out first, with their own
 *           times.
 * command   never returns JOB_CMD_COLLECT_LOGS: logs are collected and sent here.
 *           Commands of local origin have an id that starts with ".": a pause or
 *           throttle that an earlier process had taken, and one JOB_CMD_CANCEL when the
 *           controller has closed the migration (CTL_GONE). command_done takes their ids
 *           like any other.
 * journal_* the latest journal of a drive goes out every few seconds, before a result; a
 *           controller that knows no journals is asked once.
 * report    sends all waiting events first; when the result tells of a failure, the log
 *           too. *ret_then is left alone when the controller has no wish or on failure.
 *           After the registration a wrong key is waited out like an absent controller,
 *           until deadline_s.
 */
void control_port(struct control *c, struct job_port *ret);

/* Ends both threads. Waiting events get 2 s when the controller answered last time, else
 * they are lost: report was the time to send them. NULL is allowed. */
void control_close(struct control *c);

/* fetch.c: GETs one document from a server whose key is pinned (the job that tw.job=
 * points to). CFG_MISSING when the answer is not 200; otherwise as http.c. */
int control_fetch(const char *url, const char (*pins)[64], int n_pins, struct strbuf *ret,
	struct err *err);

#endif
