/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qemu-guest-agent, where it is wanted and not there: a script for the first boot installs it from
 * the guest's own repositories.
 */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#define NAME "qemu-guest-agent"

/* The manager that the guest is kept up to date with; of a family the first that is there. */
static const struct {
	const char *family, *program;
	const char *folder;  /* that has to be there too; NULL = none */
	const char *install;
} managers[] = {
	{ "debian", "apt-get", NULL, "apt-get update\n\t"
		"DEBIAN_FRONTEND=noninteractive apt-get -y install " NAME },
	{ "redhat", "zypper", "/etc/zypp/repos.d", "zypper --non-interactive install " NAME },
	{ "redhat", "dnf", NULL, "dnf -y install " NAME },
	{ "redhat", "yum", NULL, "yum -y install " NAME },
	{ "redhat", "tdnf", NULL, "tdnf -y install " NAME },
	{ "redhat", "apt-get", NULL, "apt-get update\n\tapt-get -y install " NAME }, /* ALT */
	{ "alpine", "apk", NULL, "apk add --update-cache " NAME },
	/* Without -y: newer lists would mix new packages with old ones. */
	{ "arch", "pacman", NULL, "pacman -S --noconfirm --needed " NAME },
};

static const char *program(const struct guest *g, const char *name, char *path, size_t size)
{
	static const char *const dirs[] = { "/usr/bin", "/bin", "/sbin", "/usr/sbin" };

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, size, "%s/%s", dirs[i], name);
		if (fs_is_file(&g->root, path))
			return path;
	}
	return NULL;
}

static const char *install_command(const struct guest *g)
{
	char path[64];

	for (size_t i = 0; g->facts.family && i < sizeof(managers) / sizeof(managers[0]); i++)
		if (!strcmp(managers[i].family, g->facts.family->name) &&
			(!managers[i].folder || fs_is_dir(&g->root, managers[i].folder)) &&
			program(g, managers[i].program, path, sizeof(path)))
			return managers[i].install;
	return NULL;
}

static bool is_there(const struct guest *g)
{
	const struct guest_family *f = g->facts.family;
	char path[64];

	return program(g, "qemu-ga", path, sizeof(path)) || (f && f->installed && f->installed(g, NAME));
}

/* The network and other users of the package manager's lock come and go: six attempts in a minute.
 * Whatever becomes of them, the start of the system is not held to be a failure. A service that came
 * after its device is started here; without the device it would wait for one. */
int guest_agent_script(const struct guest *g, struct strbuf *ret)
{
	const char *install = install_command(g);

	if (!install)
		return -1;
	strbuf_fmt(ret, "#!/bin/sh\n# " NAME " from the repositories of this system.\n"
		"PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin\nthere()\n{\n\tcommand -v qemu-ga >/dev/null\n}\n"
		"attempt()\n{\n\t%s\n\tthere\n}\n"
		"n=1\nuntil there || attempt; do\n"
		"\tif [ $n = 6 ]; then\n\t\techo '" NAME " could not be installed'\n\t\texit 0\n\tfi\n"
		"\tn=$((n + 1))\n\tsleep 10\ndone\necho '" NAME " is installed'\n", install);
	if (!strcmp(g->facts.init, "openrc"))
		strbuf_str(ret, "rc-update add " NAME " default\n");
	strbuf_fmt(ret, "[ -e /dev/virtio-ports/org.qemu.guest_agent.0 ] || exit 0\n%s\nexit 0\n",
		!strcmp(g->facts.init, "systemd") ? "systemctl start --no-block " NAME ".service" :
		!strcmp(g->facts.init, "openrc") ? "rc-service " NAME " start" :
		"for name in " NAME " qemu-ga; do\n"
		"\tif [ -x /etc/init.d/$name ]; then /etc/init.d/$name start; fi\ndone");
	return 0;
}

int guest_plan_agent(struct guest *g, struct err *err)
{
	(void)err;
	if (!g->opt->guest_agent || is_there(g))
		return 0;
	if (!install_command(g)) {
		guest_report_warn(g, NAME " is not installed: none of the package managers that are known "
			"is in the guest");
		return 0;
	}
	g->agent_later = true; /* the next step plans the first boot */
	return 0;
}
