/* SPDX-License-Identifier: Apache-2.0 */
/* Guest tools of the hypervisor that is left behind: one line a tool. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define PACKAGES_MAX 2048 /* names, blanks between */

static const struct {
	const char *name;
	const char *packages; /* of all families; * at the end of a name:
			       * all that begin so */
	const char *services; /* masked when the packages have to stay */
	const char *evidence; /* a file that says it is there without a
			       * package; NULL = none */
	const char *files;    /* what no package owns or leaves behind,
			       * patterns; NULL = none */
	bool harmless;        /* its services start on their own hypervisor only: stays */
} tools[] = {
	{ "open-vm-tools",
		"open-vm-tools-desktop open-vm-tools-dkms open-vm-tools-deploypkg "
		"open-vm-tools-salt-minion open-vm-tools-containerinfo open-vm-tools-sdmp "
		"open-vm-dkms open-vm-tools libvmtools0",
		"open-vm-tools.service vgauth.service vmtoolsd.service vgauthd.service "
		"run-vmblock\\x2dfuse.mount vmware-vmblock-fuse.service",
		NULL, "/etc/vmware-tools", false },
	{ "vmware-tools", "VMwareTools vmware-tools-* kmod-vmware-tools-*",
		"vmware-tools.service vmware-tools-services.service",
		"/etc/vmware-tools/locations",
		"/etc/vmware-tools /usr/lib/vmware-tools /etc/init.d/vmware-tools* "
		"/etc/rc?.d/[SK]??vmware-tools* /etc/rc.d/rc?.d/[SK]??vmware-tools* "
		"/etc/init/vmware-tools*.conf /etc/modprobe.d/vmware-tools.conf "
		"/etc/systemd/system/vmware-tools.service "
		"/etc/systemd/system/multi-user.target.wants/vmware-tools.service "
		"/etc/xdg/autostart/vmware-user.desktop /lib/modules/*/misc/vm[cbhmwx]*.ko "
		"/etc/udev/rules.d/99-vmware-scsi-udev.rules", false },
	{ "virtualbox",
		"virtualbox-guest-x11 virtualbox-guest-dkms virtualbox-guest-utils "
		"virtualbox-guest-additions virtualbox-guest-tools",
		"vboxadd.service vboxadd-service.service vboxadd-x11.service "
		"virtualbox-guest-utils.service vboxservice.service",
		"/var/lib/VBoxGuestAdditions/config",
		"/opt/VBoxGuestAdditions-* /var/lib/VBoxGuestAdditions "
		"/etc/virtualbox-guest-additions.conf /etc/udev/rules.d/60-vboxadd.rules "
		"/sbin/mount.vboxsf /sbin/rcvboxadd* /usr/sbin/VBoxService /usr/bin/VBoxClient* "
		"/usr/bin/VBoxControl /etc/kernel/postinst.d/vboxadd /etc/kernel/prerm.d/vboxadd "
		"/etc/ld.so.conf.d/00vboxvideo.conf /lib/modules/*/misc/vbox*.ko /usr/src/vbox*-* "
		"/etc/init.d/vboxadd* /etc/rc?.d/[SK]??vboxadd* "
		"/etc/systemd/system/*.wants/vboxadd*.service "
		"/lib/systemd/system/vboxadd*.service", false },
	{ "parallels", "", "prltoolsd.service prltools_updater.service prl-x11.service",
		"/usr/lib/parallels-tools/install",
		"/usr/lib/parallels-tools /etc/modprobe.d/parallels.conf "
		"/etc/modules-load.d/parallels.conf /etc/udev/rules.d/99-parallels-*.rules "
		"/etc/udev/rules.d/69-xorg-prlmouse.rules /etc/pm/sleep.d/99prltoolsd-hibernate "
		"/usr/src/parallels-tools-* /etc/init.d/prl* /etc/rc?.d/[SK]??prl* "
		"/etc/systemd/system/prl*.service /etc/systemd/system/*.wants/prl*.service", false },
	{ "xen", "xe-guest-utilities xe-guest-utilities-latest xen-guest-agent",
		"xe-linux-distribution.service xe-daemon.service", NULL,
		"/etc/udev/rules.d/z10*xen*", false },
	{ "ovirt", "ovirt-guest-agent ovirt-guest-agent-common",
		"ovirt-guest-agent.service", NULL, NULL,
		false },
	/* As its own uninstaller: the service and the whole folder. On guests with rpm,
	 * too: nothing tells its package from its installer there without asking rpm,
	 * whose entry for the package stays. */
	{ "nutanix", "nutanix-guest-agent",
		"ngt_guest_agent.service ngt_self_service_restore.service nutanix-guest-agent.service",
		"/etc/init.d/ngt_guest_agent",
		"/usr/local/nutanix /etc/init.d/ngt_guest_agent /etc/rc?.d/[SK]??ngt_guest_agent "
		"/etc/rc.d/rc?.d/[SK]??ngt_guest_agent /etc/systemd/system/ngt_*.service "
		"/etc/systemd/system/*.wants/ngt_*.service", false },
	{ "hyper-v", "hyperv-daemons hyperv-tools hv-kvp-daemon-init", "", NULL, NULL,
		true },
	{ "azure", "walinuxagent WALinuxAgent", "walinuxagent.service waagent.service",
		NULL,
		"/etc/udev/rules.d/66-azure-storage.rules /etc/udev/rules.d/99-azure-product-uuid.rules",
		false },
};
#define N_TOOLS (sizeof(tools) / sizeof(tools[0]))

bool guest_tool_mount(const char *spec, const char *type)
{
	static const char *const types[] = {
		"vmhgfs", "fuse.vmhgfs-fuse", "vmblock", "vboxsf", "prl_fs", NULL,
	};

	for (int i = 0; types[i]; i++)
		if (!strcmp(type, types[i]))
			return true;
	return !strncmp(spec, ".host:/", 7);
}

/* The packages of a tool that are installed, in the table's order. */
static void find_packages(const struct guest *g, size_t tool, char *ret, size_t size)
{
	const struct guest_family *f = g->facts.family;

	*ret = '\0';
	for (const char *p = tools[tool].packages; f && f->installed && *p;
	    p += strspn(p, " ")) {
		size_t n = strcspn(p, " "), used = strlen(ret);
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)n, p);
		p += n;
		if (strchr(name, '*')) {
			if (f->matching)
				f->matching(g, name, ret, size);
		} else if (f->installed(g, name)) {
			snprintf(ret + used, size - used, "%s%s", used ? " " : "", name);
		}
	}
}

void guest_find_tools(struct guest *g)
{
	for (size_t i = 0; i < N_TOOLS; i++) {
		size_t used = strlen(g->facts.tools);
		char packages[PACKAGES_MAX];

		find_packages(g, i, packages, sizeof(packages));
		if (*packages ||
		    (tools[i].evidence && fs_is_file(&g->root, tools[i].evidence)))
			snprintf(g->facts.tools + used, sizeof(g->facts.tools) - used,
				"%s%s", used ? " " : "", tools[i].name);
	}
}

/* What has to stay is switched off. */
static int mask(struct guest *g, size_t tool, const char *why, struct err *err)
{
	struct guest_services found;

	if (guest_services_off(g, tools[tool].name, tools[tool].services, why, &found,
		err) < 0)
		return -1;
	if (!found.on)
		guest_report_skip(g, "tools", "%s: %s; nothing of it starts",
			tools[tool].name, why);
	return 0;
}

int guest_tool_stays(struct guest *g, int tool, struct err *err)
{
	g->facts.taken_out &= ~(1u << tool);
	return mask(g, (size_t)tool, "its removal failed", err);
}

/* An earlier preparation could not remove it, and switched it off. */
static int was_masked(struct guest *g, size_t tool, struct err *err)
{
	struct guest_services found;
	char dir[128];
	bool complete;

	if (guest_journal_newest(g, dir, sizeof(dir), &complete, err) < 0 ||
		guest_services_off(g, tools[tool].name, tools[tool].services, NULL,
			&found, err) < 0)
		return -1;
	return *dir && complete && found.there && !found.on;
}

/* Without a package: its files go. */
static int take_out(struct guest *g, size_t i, struct err *err)
{
	int n;

	g->facts.taken_out |= 1u << i;
	return guest_tool_files(g, tools[i].name, tools[i].files, true, &n, err);
}

int guest_tools_left(struct guest *g, struct err *err)
{
	int all = 0, n;

	for (size_t i = 0; i < N_TOOLS; i++) {
		if (!(g->facts.taken_out & 1u << i) || !tools[i].files)
			continue;
		if (guest_tool_files(g, tools[i].name, tools[i].files, false, &n,
			err) < 0)
			return -1;
		all += n;
		if (n)
			guest_report_warn(g, "%s: %d of its files are left",
				tools[i].name, n);
	}
	g->facts.tools_left = all;
	return all;
}

/* Libraries that came with the tools may be what other programs run with now: they do
 * nothing by themselves, and stay. */
static bool keep_libraries(struct guest *g, char *packages, const char *users)
{
	char kept[PACKAGES_MAX] = "", rest[PACKAGES_MAX] = "";

	for (const char *p = packages; *p; p += strspn(p, " ")) {
		size_t n = strcspn(p, " ");
		char *to = memmem(p, n, "-libraries-", 11) ? kept : rest;
		size_t used = strlen(to);

		snprintf(to + used, PACKAGES_MAX - used, "%s%.*s",
			used ? " " : "", (int)n, p);
		p += n;
	}
	if (*kept)
		guest_report_skip(g, "tools", "%s: %.200s depends on it, so it stays",
			kept, users);
	strcpy(packages, rest);
	return *kept;
}

static int plan_one(struct guest *g, size_t i, struct err *err)
{
	CLEANUP_STRBUF struct strbuf users = STRBUF_INIT;
	const struct guest_family *f = g->facts.family;
	char packages[PACKAGES_MAX], why[256];
	struct guest_op *op;
	int masked;

	find_packages(g, i, packages, sizeof(packages));
	if (tools[i].harmless) {
		if (*packages)
			guest_report_skip(g, "tools",
				"%s stays: it starts on its own hypervisor only",
				packages);
		return 0;
	}
	if (!*packages) {
		if (!tools[i].evidence || !fs_is_file(&g->root, tools[i].evidence))
			return 0;
		return !strcmp(tools[i].evidence, "/etc/vmware-tools/locations") &&
			guest_tool_locations(g, err) < 0 ? -1 : take_out(g, i, err);
	}
	if (f->needed_by && f->needed_by(g, packages, &users, err) < 0)
		return -1;
	if (users.len && keep_libraries(g, packages, users.s)) {
		strbuf_reset(&users);
		if (*packages && f->needed_by(g, packages, &users, err) < 0)
			return -1;
	}
	if (!*packages)
		return 0;
	if (users.len) {
		snprintf(why, sizeof(why), "%.200s depends on it", users.s);
		return mask(g, i, why, err);
	}
	if (!f->purge)
		return mask(g, i, "this package manager is not run by the worker", err);
	masked = was_masked(g, i, err);
	if (masked > 0)
		guest_report_skip(g, "tools",
			"%s was switched off by an earlier preparation", tools[i].name);
	if (masked)
		return masked < 0 ? -1 : 0;
	op = guest_op_add(g, OP_PURGE, NULL, packages, "%s has no use on KVM",
		tools[i].name);
	if (!op)
		return err_set(err, ERR_NOMEM, "make the plan: out of memory");
	op->index = (int)i;
	g->facts.taken_out |= 1u << i;
	return 0;
}

int guest_plan_tools(struct guest *g, struct err *err)
{
	if (!g->opt->remove_tools) {
		guest_report_skip(g, "tools", "not asked for");
		return 0;
	}
	for (size_t i = 0; i < N_TOOLS; i++)
		if (plan_one(g, i, err) < 0)
			return -1;
	return guest_plan_repos(g, err);
}
