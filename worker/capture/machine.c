/* SPDX-License-Identifier: Apache-2.0 */
/* Who the machine is: names, system, kernel, firmware, processors, memory, hypervisor. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

/* Those that have no os-release: one line of text with name and version. */
static const struct {
	const char *file, *id, *name;
} release_files[] = {
	{ "/etc/oracle-release", "ol", NULL },
	{ "/etc/centos-release", "centos", NULL },
	{ "/etc/redhat-release", "rhel", NULL },
	{ "/etc/SuSE-release", "suse", NULL },
	{ "/etc/alpine-release", "alpine", "Alpine Linux" },
	{ "/etc/debian_version", "debian", "Debian GNU/Linux" },
	{ "/etc/slackware-version", "slackware", NULL },
	{ "/etc/gentoo-release", "gentoo", NULL },
};

/* The first word with a digit in it at its beginning: "CentOS release 6.10 (Final)". */
static void version_in(const char *line, char *ret, size_t size)
{
	const char *p = line;

	while (*p && !(*p >= '0' && *p <= '9' && (p == line || p[-1] == ' ')))
		p++;
	snprintf(ret, size, "%.*s", (int)strcspn(p, " "), p);
}

static void old_release(const struct capture_view *v, yyjson_mut_val *os)
{
	char line[256] = "", version[64], name[400];
	size_t i, n = sizeof(release_files) / sizeof(release_files[0]);

	for (i = 0; i < n && !*line; i++)
		capture_line(v, line, sizeof(line), "%s", release_files[i].file);
	version_in(line, version, sizeof(version));
	snprintf(name, sizeof(name), "%s%s%s", *line && release_files[i - 1].name ?
		release_files[i - 1].name : "", *line && release_files[i - 1].name ? " " :
		"", line);
	capture_put(v, os, "id", *line ? release_files[i - 1].id : "");
	capture_put(v, os, "version", version);
	capture_put(v, os, "name", name);
	capture_put(v, os, "like", "");
}

static void system_of(const struct capture_view *v, yyjson_mut_val *obj)
{
	static const char *const keys[][2] = { { "id", "ID" },
		{ "version", "VERSION_ID" },
		{ "name", "PRETTY_NAME" }, { "like", "ID_LIKE" } };
	yyjson_mut_val *os = yyjson_mut_obj_add_obj(v->doc, obj, "os");
	CLEANUP_FREE char *text = capture_file(v, "/etc/os-release");
	char value[256];

	if (!text)
		text = capture_file(v, "/usr/lib/os-release");
	if (!text) {
		old_release(v, os);
		return;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		capture_assignment(text, keys[i][1], value, sizeof(value));
		if (!*value && i == 2) /* PRETTY_NAME may be missing, NAME is not */
			capture_assignment(text, "NAME", value, sizeof(value));
		capture_put(v, os, keys[i][0], value);
	}
}

static void kernel(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *k = yyjson_mut_obj_add_obj(v->doc, obj, "kernel");
	char line[256];

	capture_line(v, line, sizeof(line), "/proc/sys/kernel/osrelease");
	capture_put(v, k, "release", line);
	capture_line(v, line, sizeof(line), "/proc/sys/kernel/version");
	capture_put(v, k, "version", line);
	capture_line(v, line, sizeof(line), "/proc/sys/kernel/random/boot_id");
	capture_put(v, k, "boot_id", line);
}

static void firmware(const struct capture_view *v, yyjson_mut_val *obj)
{
	static const char secure[] =
		"/sys/firmware/efi/%s-8be4df61-93ca-11d2-aa0d-00e098032b8c%s";
	static const char *const forms[][2] = { { "efivars/SecureBoot", "" },
		{ "vars/SecureBoot", "/data" } };
	yyjson_mut_val *fw = yyjson_mut_obj_add_obj(v->doc, obj, "firmware");
	bool uefi = capture_exists(v, "/sys/firmware/efi");
	char path[1024], line[64];
	int on = -1;

	capture_put(v, fw, "type", uefi ? "uefi" : "bios");
	/* A variable: four bytes of attributes in efivars, none in the older vars;
	 * then 0 or 1. */
	for (unsigned i = 0; i < 2 && on < 0; i++) {
		FILE *f = capture_path(v, path, sizeof(path), secure, forms[i][0],
			forms[i][1]) ? fopen(path, "re") : NULL;

		if (f && !fseek(f, i ? 0 : 4, SEEK_SET))
			on = fgetc(f);
		if (f)
			fclose(f);
	}
	if (on >= 0)
		yyjson_mut_obj_add_bool(v->doc, fw, "secure_boot", on == 1);
	else
		yyjson_mut_obj_add_null(v->doc, fw, "secure_boot");
	capture_line(v, line, sizeof(line), "/sys/class/dmi/id/bios_vendor");
	capture_put(v, fw, "vendor", line);
	capture_line(v, line, sizeof(line), "/sys/class/dmi/id/bios_version");
	capture_put(v, fw, "version", line);
}

static void smbios(const struct capture_view *v, yyjson_mut_val *obj)
{
	static const char *const keys[][2] = { { "vendor", "sys_vendor" },
		{ "product", "product_name" }, { "version", "product_version" },
		{ "serial", "product_serial" }, { "uuid", "product_uuid" },
		{ "board_vendor", "board_vendor" }, { "board", "board_name" } };
	yyjson_mut_val *dmi = yyjson_mut_obj_add_obj(v->doc, obj, "smbios");
	char line[256];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		capture_line(v, line, sizeof(line), "/sys/class/dmi/id/%s", keys[i][1]);
		if (!strcmp(keys[i][0], "uuid")) /* some kernels write it in capitals */
			for (char *p = line; *p; p++)
				*p = (char)(*p >= 'A' && *p <= 'F' ? *p + 32 : *p);
		capture_put(v, dmi, keys[i][0], line);
	}
}

/* The value of "name<tab>: value". */
static bool field(const char *line, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);
	const char *p = line + n;

	if (strncmp(line, name, n))
		return false;
	p += strspn(p, " \t");
	if (*p++ != ':')
		return false;
	p += strspn(p, " \t");
	snprintf(ret, size, "%.*s", (int)strcspn(p, "\n"), p);
	return true;
}

/* *ret_virtual: the processor says that a hypervisor is there. */
static void cpu(const struct capture_view *v, yyjson_mut_val *obj, bool *ret_virtual)
{
	yyjson_mut_val *c = yyjson_mut_obj_add_obj(v->doc, obj, "cpu");
	CLEANUP_FREE char *text = capture_file(v, "/proc/cpuinfo");
	char model[256] = "", vendor[64] = "", value[4096];
	uint64_t n = 0, sockets = 0;
	uint8_t seen[8192 / 8] = { 0 };

	*ret_virtual = false;
	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL) {
		n += field(p, "processor", value, sizeof(value));
		if (field(p, "physical id", value, sizeof(value))) {
			unsigned id = (unsigned)atoi(value) % 8192;

			sockets += !(seen[id / 8] >> id % 8 & 1);
			seen[id / 8] = (uint8_t)(seen[id / 8] | 1u << id % 8);
		}
		if (!*model)
			field(p, "model name", model, sizeof(model));
		if (!*vendor)
			field(p, "vendor_id", vendor, sizeof(vendor));
		if (!*ret_virtual && field(p, "flags", value, sizeof(value)))
			*ret_virtual = strstr(value, " hypervisor") != NULL;
	}
	capture_put(v, c, "model", model);
	capture_put(v, c, "vendor", vendor);
	yyjson_mut_obj_add_uint(v->doc, c, "count", n);
	yyjson_mut_obj_add_uint(v->doc, c, "sockets", sockets ? sockets : n ? 1 : 0);
}

static void memory(const struct capture_view *v, yyjson_mut_val *obj)
{
	yyjson_mut_val *m = yyjson_mut_obj_add_obj(v->doc, obj, "memory");
	CLEANUP_FREE char *text = capture_file(v, "/proc/meminfo");
	char total[64] = "", swap[64] = "";

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL) {
		field(p, "MemTotal", total, sizeof(total));
		field(p, "SwapTotal", swap, sizeof(swap));
	}
	capture_put_number(v, m, "bytes", total, 1024);
	capture_put_number(v, m, "swap_bytes", swap, 1024);
}

/* CPUID leaf 0x40000000 (all hypervisors; never defined by hardware). */
static void cpuid_name(char ret[13])
{
	unsigned max, part[3];

	__cpuid(0x40000000, max, part[0], part[1], part[2]);
	(void)max;
	memcpy(ret, part, 12);
	ret[12] = '\0';
}

static void hypervisor(const struct capture_view *v, yyjson_mut_val *obj, bool is_virtual)
{
	static const struct {
		const char *sign, *name;
	} signs[] = { { "VMwareVMware", "vmware" }, { "KVMKVMKVM", "kvm" },
		{ "Microsoft Hv", "hyperv" }, { "XenVMMXenVMM", "xen" },
		{ "TCGTCGTCGTCG", "qemu" },
		{ "VBoxVBoxVBox", "virtualbox" }, { "ACRNACRNACRN", "acrn" },
		{ "bhyve bhyve ", "bhyve" },
		/* then by SMBIOS, for a tree and for processors that hide it */
		{ "VMware", "vmware" }, { "VirtualBox", "virtualbox" },
		{ "innotek", "virtualbox" },
		{ "Microsoft", "hyperv" }, { "Xen", "xen" }, { "Amazon EC2", "kvm" },
		{ "Google", "kvm" }, { "KVM", "kvm" }, { "QEMU", "qemu" },
		{ "OpenStack", "kvm" },
		{ "Nutanix", "kvm" }, { "Parallels", "parallels" } };
	char sign[13] = "", text[400], vendor[128], product[128], xen[32];
	const char *name = "";

	if (is_virtual && v->live)
		cpuid_name(sign);
	capture_line(v, vendor, sizeof(vendor), "/sys/class/dmi/id/sys_vendor");
	capture_line(v, product, sizeof(product), "/sys/class/dmi/id/product_name");
	capture_line(v, xen, sizeof(xen), "/sys/hypervisor/type");
	snprintf(text, sizeof(text), "%s\n%s %s", sign, vendor, product);
	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]) && !*name; i++)
		if (strstr(text, signs[i].sign))
			name = signs[i].name;
	/* Microsoft makes machines of metal, too. */
	if (!strcmp(name, "hyperv") && !is_virtual)
		name = "";
	if (*xen)
		name = xen;
	capture_put(v, obj, "hypervisor", *name ? name : is_virtual ? "unknown" : "none");
}

void capture_machine(const struct capture_view *v, yyjson_mut_val *obj)
{
	char line[256];
	bool is_virtual;

	capture_line(v, line, sizeof(line), "/proc/sys/kernel/hostname");
	capture_put(v, obj, "hostname", line);
	capture_line(v, line, sizeof(line), "/etc/machine-id");
	if (!*line)
		capture_line(v, line, sizeof(line), "/var/lib/dbus/machine-id");
	capture_put(v, obj, "machine_id", line);
	system_of(v, obj);
	kernel(v, obj);
	firmware(v, obj);
	smbios(v, obj);
	cpu(v, obj, &is_virtual);
	memory(v, obj);
	hypervisor(v, obj, is_virtual);
}
