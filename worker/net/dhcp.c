/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 leases by BusyBox' udhcpc. Its script sets address, routes and name servers; it
 * stays in the background to renew the lease, for a copy may take longer than one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/spawn.h"
#include "base/strbuf.h"
#include "net/net-link-internal.h"

#define BUSYBOX "/bin/busybox"
#define SCRIPT "/usr/share/udhcpc/default.script"
#define RESOLV_CONF "/etc/resolv.conf"

/* Ends the client that an earlier worker process left on this link. */
static void end_old_client(const char *pid_file)
{
	struct err ignored = ERR_INIT;
	CLEANUP_FREE char *text = NULL, *command = NULL;
	char path[64];
	size_t len;
	long pid;

	if (fdio_read_file(pid_file, 64, &text, &len, &ignored) < 0)
		return;
	pid = strtol(text, NULL, 10);
	if (pid <= 1)
		return;
	snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
	if (fdio_read_file(path, 64, &command, &len, &ignored) < 0)
		return;
	if (!strncmp(command, "udhcpc", 6) || !strncmp(command, "busybox", 7))
		kill((pid_t)pid, SIGTERM);
	unlink(pid_file);
}

int net_dhcp_start(const char *name, unsigned timeout_s, struct err *err)
{
	char pid_file[64], tries[16];
	const char *argv[] = { BUSYBOX, "udhcpc", "-i", name, "-s", SCRIPT, "-p",
		pid_file, "-n",
		"-t", tries, "-T", "3", "-A", "3", NULL };
	struct spawn_result result;
	struct spawn sp = { .argv = argv, .timeout_s = timeout_s + 10 };

	snprintf(pid_file, sizeof(pid_file), "/run/udhcpc.%s.pid", name);
	snprintf(tries, sizeof(tries), "%u", timeout_s / 3 ? timeout_s / 3 : 1);
	end_old_client(pid_file);
	if (spawn_run(&sp, &result, err) < 0) {
		err->code = ERR_NET_DHCP;
		return err_wrap(err, "%s: DHCP client", name);
	}
	if (result.status)
		return err_set(err, ERR_NET_DHCP, "%s: no DHCP answer in %u s%s%s", name,
			timeout_s, *result.last_line ? ": " : "", result.last_line);
	return 0;
}

int net_dns_add(const char (*servers)[46], int n, struct err *err)
{
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	CLEANUP_FREE char *old = NULL;
	struct err no_file = ERR_INIT;
	size_t len = 0;
	int i;

	for (i = 0; i < n && *servers[i]; i++)
		strbuf_fmt(&text, "nameserver %s\n", servers[i]);
	if (!text.len)
		return 0;
	if (fdio_read_file(RESOLV_CONF, 64 << 10, &old, &len, &no_file) == 0)
		strbuf_add(&text, old, len);
	if (text.failed)
		return err_set(err, ERR_NOMEM, "%s: no memory", RESOLV_CONF);
	if (fdio_replace_file(RESOLV_CONF, text.s, text.len, 0644, err) < 0) {
		err->code = ERR_NET_DNS;
		return -1;
	}
	return 0;
}
