/* SPDX-License-Identifier: Apache-2.0 */
/* What Debian's grub-pc was told at its installation:
 * the disks that it installs itself on. */
#include "guest/guest-internal.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define DATABASE "/var/cache/debconf/config.dat"
#define DATABASE_MAX (16u << 20)

int guest_debconf_rewrite(const char *s, size_t len, const char *disk, struct strbuf *out)
{
	static const char name[] = "Name: grub-pc/install_devices", key[] = "Value:";
	size_t at = 0, n = strlen(key);
	struct boot_line l = { NULL, 0, 0 };
	bool in = false;

	while (boot_line_next(s, len, &at, &l)) {
		if (!l.len)
			in = false;
		in |= l.len == strlen(name) && !memcmp(l.s, name, l.len);
		if (in && l.len > n && !memcmp(l.s, key, n))
			break;
		l.s = NULL;
	}
	/* No answer: it was told to install itself nowhere. By virtio:
	 * it runs on KVM already. */
	if (!l.s || strspn(l.s + n, " ") >= l.len - n ||
		!strncmp(l.s + n + strspn(l.s + n, " "), "/dev/vd", 7))
		return 0;
	strbuf_add(out, s, (size_t)(l.s - s) + n);
	strbuf_fmt(out, " %s", disk);
	strbuf_add(out, l.s + l.len, len - (size_t)(l.s + l.len - s));
	return 1;
}

/* grub-pc asks for its disks at the next update when those of its answer are gone; with
 * nobody there to answer, the update fails. */
int guest_plan_debconf(struct guest *g, struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;
	CLEANUP_FREE char *text = NULL;
	char disk[32] = "";
	size_t len = 0;
	bool known = g->opt->in_target &&
		guest_first_of_bus(g->disks[0].node, disk, sizeof(disk));

	if (fs_read(&g->root, DATABASE, DATABASE_MAX, &text, &len, err) < 0)
		return -1;
	if (!text || !guest_debconf_rewrite(text, len, disk, &out))
		return 0;
	if (!known) {
		guest_report_skip(g, g->step,
			"grub-pc's list of disks is left as it is: the target's disk "
			"names are not known here");
		return 0;
	}
	return out.failed ? err_set(err, ERR_NOMEM, "make the plan: out of memory") :
		guest_op_write(g, DATABASE, out.s, out.len,
			"the disk that grub-pc updates itself on", err);
}
