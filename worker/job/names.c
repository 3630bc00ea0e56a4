/* SPDX-License-Identifier: Apache-2.0 */
#include "job/job-internal.h"

static const char *const states[] = {
	[JOB_BOOT] = "BOOT",
	[JOB_CONFIG] = "CONFIG",
	[JOB_NET] = "NET",
	[JOB_REGISTER] = "REGISTER",
	[JOB_READY] = "READY",
	[JOB_COPY] = "COPY",
	[JOB_PAUSED] = "PAUSED",
	[JOB_VERIFY] = "VERIFY",
	[JOB_PREPARING] = "PREPARE",
	[JOB_COMMIT] = "COMMIT",
	[JOB_REPORT] = "REPORT",
	[JOB_OFF] = "OFF",
	[JOB_FAILED] = "FAILED",
	[JOB_CANCELLING] = "CANCELLING",
	[JOB_CANCELLED] = "CANCELLED",
	[JOB_HELD] = "HOLD",
};

const char *job_state_name(enum job_state s)
{
	return (size_t)s < sizeof(states) / sizeof(states[0]) ? states[s] : "UNKNOWN";
}

const char *job_finish_name(enum job_finish f)
{
	return f == JOB_REBOOT ? "reboot" : f == JOB_HOLD ? "hold" : "poweroff";
}

const char *job_mode_name(enum job_mode m)
{
	return m == JOB_DELTA ? "delta" : m == JOB_PREPARE ? "prepare" : "full";
}
