/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts that the guest runs once, when it starts: files, a runner, and what makes its
 * init system call it. The runner removes all of that, and leaves a log with each exit
 * status.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define NAME "target-worker-first-boot"
#define DIR "/usr/lib/" NAME
#define LOG "/var/log/" NAME ".log"

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NOMEM, "plan the first boot: out of memory");
}

static int add_file(struct guest *g, const char *path, const char *text, unsigned mode,
	struct strbuf *paths, struct err *err)
{
	int before = g->n_ops;

	if (guest_op_write(g, path, text, strlen(text),
		"scripts of the migration for the first boot", err) < 0)
		return -1;
	if (g->n_ops > before)
		g->ops[before].mode = mode;
	strbuf_fmt(paths, " %s", path);
	return 0;
}

static int add_link(struct guest *g, const char *to, const char *path,
	struct strbuf *paths, struct err *err)
{
	char now[256];

	strbuf_fmt(paths, " %s", path);
	for (int i = 0; i < g->n_ops; i++)
		if (g->ops[i].kind == OP_LINK && !strcmp(g->ops[i].path, path))
			return 0;
	if (fs_readlink(&g->root, path, now, sizeof(now)) >= 0 && !strcmp(now, to))
		return 0;
	return guest_op_add(g, OP_LINK, path, to, "the scripts run at the first boot") ?
		0 : no_memory(err);
}

static int add_systemd(struct guest *g, struct strbuf *paths, struct err *err)
{
	static const char unit[] =
		"[Unit]\nDescription=Scripts for the first boot after a migration\n"
		"Wants=network-online.target\nAfter=network-online.target local-fs.target\n"
		"\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\n"
		"ExecStart=/bin/sh " DIR "/run\n\n[Install]\nWantedBy=multi-user.target\n";

	return add_file(g, "/etc/systemd/system/" NAME ".service", unit, 0644, paths,
		err) < 0 ? -1 :
		add_link(g, "../" NAME ".service",
			"/etc/systemd/system/multi-user.target.wants/" NAME ".service",
			paths, err);
}

static int add_openrc(struct guest *g, struct strbuf *paths, struct err *err)
{
	static const char service[] =
		"#!/sbin/openrc-run\n\ndepend()\n{\n\tafter *\n}\n\nstart()\n{\n"
		"\tebegin \"Scripts for the first boot\"\n\t/bin/sh " DIR "/run\n\teend $?\n}\n";

	return add_file(g, "/etc/init.d/" NAME, service, 0755, paths, err) < 0 ? -1 :
		add_link(g, "/etc/init.d/" NAME, "/etc/runlevels/default/" NAME,
			paths, err);
}

/* Also upstart, which runs the scripts of System V. */
static int add_sysv(struct guest *g, struct strbuf *paths, struct err *err)
{
	static const char script[] =
		"#!/bin/sh\n### BEGIN INIT INFO\n# Provides: " NAME "\n"
		"# Required-Start: $all\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop:\n"
		"# Short-Description: scripts for the first boot\n### END INIT INFO\n"
		"[ \"$1\" = start ] || exit 0\nexec /bin/sh " DIR "/run\n";
	/* Debian's, Red Hat's, SUSE's */
	static const char *const folders[] = { "/etc/rc%d.d", "/etc/rc.d/rc%d.d",
		"/etc/init.d/rc%d.d" };
	int links = 0;

	if (add_file(g, "/etc/init.d/" NAME, script, 0755, paths, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && !links; i++)
		for (int level = 2; level <= 5; level++) {
			char dir[64], path[128];

			snprintf(dir, sizeof(dir), folders[i], level);
			if (!fs_is_dir(&g->root, dir))
				continue;
			snprintf(path, sizeof(path), "%s/S99" NAME, dir);
			if (add_link(g, "/etc/init.d/" NAME, path, paths, err) < 0)
				return -1;
			links++;
		}
	return links ? 0 :
		err_set(err, ERR_PREP_EXTENSION, "first-boot: the guest has none of the "
		"folders of System V's init");
}

/* A name that ends with f: the later ones are not run when this one fails. */
static int add_scripts(struct guest *g, struct strbuf *paths, struct err *err)
{
	int n = 0;

	for (int i = 0; i < g->opt->n_extensions; i++) {
		const struct guest_extension *x = &g->opt->extensions[i];
		CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
		char path[128];

		if (x->when != GUEST_FIRST_BOOT)
			continue;
		if (strncmp(x->text, "#!", 2))
			strbuf_str(&text, "#!/bin/sh\n");
		strbuf_str(&text, x->text);
		snprintf(path, sizeof(path), DIR "/%02d%s", i, x->fatal ? "f" : "");
		if (text.failed)
			return no_memory(err);
		if (add_file(g, path, text.s, 0700, paths, err) < 0)
			return -1;
		n++;
	}
	return n;
}

/* Behind the operator's: they may set up the repositories. Returns how many there are. */
static int add_agent(struct guest *g, struct strbuf *paths, struct err *err)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;

	if (!g->agent_later || guest_agent_script(g, &text) < 0)
		return 0;
	if (text.failed)
		return no_memory(err);
	return add_file(g, GUEST_AGENT_SCRIPT, text.s, 0700, paths, err) < 0 ? -1 : 1;
}

/* timeout(1) is missing on systems of before 2008: there the script has all the time it
 * takes. The shell has read the whole of the braces before it removes itself. */
static int add_runner(struct guest *g, struct strbuf *paths, struct err *err)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	unsigned limit = g->opt->tool_timeout_s ? g->opt->tool_timeout_s : 900;

	strbuf_fmt(&text,
		"#!/bin/sh\n# Scripts of the migration, once; what they say is in " LOG ".\n"
		"{\nlimit=\nif command -v timeout >/dev/null; then limit='timeout %u'; fi\nfailed=0\n"
		"for script in " DIR "/[0-9][0-9]*; do\n\techo \"$script\"\n\t$limit \"$script\"\n"
		"\tstatus=$?\n\techo \"$script: exit status $status\"\n"
		"\t[ $status = 0 ] && continue\n\tfailed=1\n"
		"\tcase $script in *f) break ;; esac\ndone\n", limit);
	strbuf_fmt(&text,
		"rm -f%s " DIR "/run\nrmdir " DIR "\nexit $failed\n} </dev/null >>" LOG
		" 2>&1\n", paths->s);
	if (text.failed)
		return no_memory(err);
	return add_file(g, DIR "/run", text.s, 0755, paths, err);
}

int guest_plan_first_boot(struct guest *g, struct err *err)
{
	CLEANUP_STRBUF struct strbuf paths = STRBUF_INIT;
	const char *init = g->facts.init;
	int n = add_scripts(g, &paths, err);
	int agent = n < 0 ? -1 : add_agent(g, &paths, err), rc;

	if (agent < 0 || n + agent == 0)
		return agent;
	rc = !strcmp(init, "systemd") ? add_systemd(g, &paths, err) :
		!strcmp(init, "openrc") ? add_openrc(g, &paths, err) :
			add_sysv(g, &paths, err);
	return rc < 0 ? -1 : add_runner(g, &paths, err);
}
