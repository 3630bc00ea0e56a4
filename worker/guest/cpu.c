/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The level of x86-64 (x86-64 psABI, "micro-architecture levels") that all programs of a
 * system are built for. Below it the guest's first program ends with "CPU does not
 * support x86-64-v2", after everything was copied: hypervisors' default models of a CPU
 * are often older than the hosts.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"

#define CPUINFO_MAX (4u << 20)

/* By what their makers say; all that is not here runs on any x86-64. */
static const struct {
	const char *ids; /* ID of os-release, blanks around each */
	int major, level;
} systems[] = {
	{ " rhel centos almalinux rocky ol eurolinux ", 9, 2 },
	{ " rhel centos almalinux rocky ol eurolinux ", 10, 3 },
	{ " sles sles_sap opensuse-leap ", 16, 2 },
};

int guest_cpu_needed(const char *id, const char *version)
{
	char word[80];

	snprintf(word, sizeof(word), " %s ", id);
	for (size_t i = 0; *id && i < sizeof(systems) / sizeof(systems[0]); i++)
		if (strstr(systems[i].ids, word) && atoi(version) == systems[i].major)
			return systems[i].level;
	return 1;
}

static bool has_flags(const char *flags, size_t len, const char *wanted)
{
	for (const char *p = wanted; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		bool found = false;

		for (size_t i = 0; i + n <= len && !found; i++)
			found = !memcmp(flags + i, p, n) && (!i || flags[i - 1] == ' ') &&
				(i + n == len || flags[i + n] == ' ');
		if (!found)
			return false;
		p += n;
	}
	return true;
}

int guest_cpu_level(const char *cpuinfo, size_t len)
{
	/* as Linux calls them; xsave and osxsave are there where avx is */
	static const char *const levels[] = {
		"cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2",
		"avx avx2 bmi1 bmi2 f16c fma abm movbe",
		"avx512f avx512bw avx512cd avx512dq avx512vl",
	};
	size_t at = 0;
	struct boot_line l;
	int level = 1;

	while (boot_line_next(cpuinfo, len, &at, &l)) {
		const char *colon = memchr(l.s, ':', l.len);

		if (!colon || l.len < 5 || memcmp(l.s, "flags", 5))
			continue;
		for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]) &&
		    level == (int)i + 1; i++)
			level += has_flags(colon + 1, (size_t)(l.s + l.len - colon - 1),
				levels[i]);
		return level;
	}
	return 0;
}

void guest_check_cpu(struct guest *g, const char *cpuinfo, size_t len)
{
	int own = guest_cpu_level(cpuinfo, len);

	if (own && own < g->facts.cpu_level)
		guest_report_warn(g, "%s runs on a CPU of x86-64-v%d, and this VM's is one of x86-64-v%d: give "
			"the VM another model of CPU before the guest starts, such as the host's",
			*g->facts.os_name ? g->facts.os_name :
			"the system", g->facts.cpu_level, own);
}

void guest_find_cpu(struct guest *g)
{
	CLEANUP_FREE char *text = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;

	if (strcmp(g->facts.arch, "x86_64"))
		return;
	g->facts.cpu_level = guest_cpu_needed(g->facts.os_id, g->facts.os_version);
	if (!g->opt->in_target)
		return;
	if (fdio_read_file("/proc/cpuinfo", CPUINFO_MAX, &text, &len, &err) < 0)
		log_warn("the level of this CPU is not known: %s", err.text);
	else
		guest_check_cpu(g, text, len);
}
