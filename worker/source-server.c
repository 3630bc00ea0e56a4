/* SPDX-License-Identifier: Apache-2.0 */
/* The source side's program. What it does is described in source-server.8. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/secret.h"
#include "capture/capture.h"
#include "net/net.h"
#include "proto/proto.h"
#include "serve/serve.h"

#define FREEZE_S 3600
#define GRACE_S 120
#define HOOK_S 20

struct args {
	struct serve_config c;
	struct serve_drive_spec drives[SERVE_MAX_DRIVES];
	char host[256];
	struct serve_keys keys;
};

static int set_drive(struct args *a, char *value, struct err *err)
{
	char *path = strchr(value, '='), *comma;

	if (!path)
		return err_set(err, ERR_USAGE, "--drive NAME=PATH expected, not \"%s\"",
			value);
	if (a->c.n_drives == SERVE_MAX_DRIVES)
		return err_set(err, ERR_USAGE, "more than %d drives", SERVE_MAX_DRIVES);
	*path++ = '\0';
	comma = strrchr(path, ',');
	if (comma && !strncmp(comma, ",format=", 8)) {
		if (strcmp(comma, ",format=raw"))
			return err_set(err, ERR_USAGE,
				"drive %s: only format=raw is known", value);
		*comma = '\0';
	}
	a->drives[a->c.n_drives++] = (struct serve_drive_spec){ .name = value,
		.path = path };
	return 0;
}

/* HOST:PORT, [IPV6]:PORT, HOST, or :PORT */
static int set_listen(struct args *a, char *value, struct err *err)
{
	char *colon = strrchr(value, ':'), *end, *host = value;
	unsigned long port = PROTO_PORT;

	if (colon && (value[0] != '[' ? strchr(value, ':') == colon : colon[-1] == ']')) {
		errno = 0;
		port = strtoul(colon + 1, &end, 10);
		if (!isdigit((unsigned char)colon[1]) || *end || port > 65535)
			return err_set(err, ERR_USAGE, "--listen: \"%s\" is no port",
				colon + 1);
		*colon = '\0';
	}
	if (host[0] == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		host++;
	}
	if ((size_t)snprintf(a->host, sizeof(a->host), "%s", host) >= sizeof(a->host))
		return err_set(err, ERR_USAGE, "--listen: name too long");
	a->c.port = (uint16_t)port;
	return 0;
}

/* Every line of the file is a key that is accepted. */
static int set_keys(struct args *a, char *value, struct err *err)
{
	a->c.psks = a->keys.list;
	a->c.rights = a->keys.rights;
	return serve_keys_load(value, &a->keys, err);
}

static int set_plain(struct args *a, char *value, struct err *err)
{
	(void)value;
	(void)err;
	a->c.allow_plain = true;
	return 0;
}

/* Bytes per second with K, M or G (1024). */
static int set_bandwidth(struct args *a, char *value, struct err *err)
{
	static const char units[] = "KMG";
	char *end;
	unsigned long long n;
	unsigned shift = 0;
	const char *unit;

	errno = 0;
	n = strtoull(value, &end, 10);
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (!isdigit((unsigned char)value[0]) || *end || errno ||
	    n > UINT64_MAX >> shift || !n)
		return err_set(err, ERR_USAGE,
			"--bandwidth: \"%s\" is no rate (bytes/s, K, M, G)", value);
	a->c.bandwidth = (uint64_t)n << shift;
	return 0;
}

static int set_state(struct args *a, char *value, struct err *err)
{
	(void)err;
	a->c.state_dir = value;
	return 0;
}

static int seconds(const char *option, const char *value, unsigned *ret, struct err *err)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)value[0]) || *end || n > 7 * 86400)
		return err_set(err, ERR_USAGE,
			"--%s: \"%s\" is no number of seconds up to a week", option,
			value);
	*ret = (unsigned)n;
	return 0;
}

static int set_freeze(struct args *a, char *value, struct err *err)
{
	if (!strcmp(value, "auto") || !strcmp(value, "never")) {
		a->c.freeze_s = value[0] == 'a' ? FREEZE_S : 0;
		return 0;
	}
	return seconds("freeze", value, &a->c.freeze_s, err);
}

static int set_snapshot(struct args *a, char *value, struct err *err)
{
	if (strcmp(value, "auto") && strcmp(value, "never"))
		return err_set(err, ERR_USAGE, "--snapshot: auto or never, not \"%s\"",
			value);
	a->c.snapshots = value[0] == 'a';
	return 0;
}

static int set_grace(struct args *a, char *value, struct err *err)
{
	return seconds("grace", value, &a->c.grace_s, err);
}

static int set_before(struct args *a, char *value, struct err *err)
{
	(void)err;
	a->c.hooks.before_freeze = value;
	return 0;
}

static int set_after(struct args *a, char *value, struct err *err)
{
	(void)err;
	a->c.hooks.after_thaw = value;
	return 0;
}

static int set_hook_time(struct args *a, char *value, struct err *err)
{
	if (seconds("hook-time", value, &a->c.hooks.limit_s, err) < 0)
		return -1;
	return a->c.hooks.limit_s ? 0 :
		err_set(err, ERR_USAGE, "--hook-time: at least 1 s");
}

static int set_all_blocks(struct args *a, char *value, struct err *err)
{
	(void)value;
	(void)err;
	a->c.all_blocks = true;
	return 0;
}

static int set_verbose(struct args *a, char *value, struct err *err)
{
	(void)a;
	(void)value;
	(void)err;
	log_set_level(LOG_LEVEL_DEBUG);
	return 0;
}

static const struct {
	const char *name, *value; /* NULL = takes none */
	int (*set)(struct args *a, char *value, struct err *err);
	const char *what;
} options[] = {
	{ "drive", "NAME=PATH", set_drive,
		"serve this disk, partition or raw image file" },
	{ "listen", "[ADDR]:PORT", set_listen, "default: all addresses, port 5994" },
	{ "psk-file", "FILE", set_keys,
		"keys that are accepted, one \"user:hex\" a line, with\n"
		"                              drives=... and jobs=... what each may do" },
	{ "allow-plain", NULL, set_plain,
		"also serve without TLS (nobody is authenticated)" },
	{ "bandwidth", "RATE", set_bandwidth,
		"bytes per second, all together: 500K, 20M, 1G" },
	{ "state-dir", "DIR", set_state, "keep journals of copies here" },
	{ "freeze", "auto|never|SECONDS", set_freeze,
		"hold mounted file systems still while they are read,\n"
		"                              at most so long; auto: an hour" },
	{ "snapshot", "auto|never", set_snapshot,
		"serve LVM volumes as they were at the start (auto)" },
	{ "grace", "SECONDS", set_grace,
		"stay frozen, keep snapshots for a lost client (120)" },
	{ "before-freeze", "PROGRAM", set_before,
		"run this before file systems are frozen" },
	{ "after-thaw", "PROGRAM", set_after,
		"and this after they are thawed, however that came" },
	{ "hook-time", "SECONDS", set_hook_time,
		"longest time of each of the two programs (20)" },
	{ "all-blocks", NULL, set_all_blocks,
		"also read what mounted file systems do not use" },
	{ "verbose", NULL, set_verbose, "more log lines" },
	{ "help", NULL, NULL, "print this text" },
	{ "version", NULL, NULL, "print the version" },
};
#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

static void usage(FILE *out)
{
	char left[64];

	fputs("usage: source-server --drive NAME=PATH --psk-file FILE [options]\n"
	      "       source-server inventory [--json] [--root DIR]\n"
	      "Serves drives of this machine, read-only, to target-worker, or tells what machine it is.\n",
		out);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		snprintf(left, sizeof(left), "--%s%s%s", options[i].name,
			options[i].value ? " " : "", options[i].value ? options[i].value :
			"");
		fprintf(out, "  %-27s %s\n", left, options[i].what);
	}
}

/* -1 wrong, 0 go on, 1 all said. */
static int parse(struct args *a, int argc, char **argv, struct err *err)
{
	struct option list[N_OPTIONS + 1] = { { NULL, 0, NULL, 0 } };
	int c, index;

	for (size_t i = 0; i < N_OPTIONS; i++)
		list[i] = (struct option){ options[i].name,
			options[i].value ? required_argument : no_argument, NULL, 0 };
	while ((c = getopt_long(argc, argv, "", list, &index)) != -1) {
		if (c)
			return err_set(err, ERR_USAGE, "see source-server --help");
		if (!strcmp(options[index].name, "help")) {
			usage(stdout);
			return 1;
		}
		if (!strcmp(options[index].name, "version")) {
			puts("source-server " TW_VERSION);
			return 1;
		}
		if (options[index].set(a, optarg, err) < 0)
			return -1;
	}
	if (optind < argc)
		return err_set(err, ERR_USAGE, "\"%s\" is not an option", argv[optind]);
	if (!a->c.n_drives)
		return err_set(err, ERR_USAGE, "no --drive is given");
	if (!a->c.psks && !a->c.allow_plain)
		return err_set(err, ERR_USAGE,
			"no --psk-file is given (or --allow-plain)");
	return 0;
}

static struct serve *running;

static void on_signal(int sig)
{
	(void)sig;
	serve_stop(running);
}

static int serve(const struct serve_config *c, struct err *err)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct serve *s;
	struct serve_log log;
	int r;

	/* First what forks, then what starts threads. */
	if (serve_start(c, &s, err) < 0)
		return -1;
	if (serve_confine(s, err) < 0) {
		serve_free(s);
		return -1;
	}
	running = s;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (serve_log_detach(&log, err) < 0) {
		serve_free(s);
		return -1;
	}
	log_info("listening on port %u", serve_port(s));
	r = serve_run(s, err);
	/* A second signal finds nothing to stop. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	log_info("stopped");
	serve_log_end(&log);
	serve_free(s);
	return r;
}

/* source-server inventory [--json] [--root DIR] */
static int inventory(int argc, char **argv, struct err *err)
{
	static const struct option list[] = { { "json", no_argument, NULL, 'j' },
		{ "root", required_argument, NULL, 'r' }, { NULL, 0, NULL, 0 } };
	CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
	const char *root = "/";
	bool json = false;
	int c;

	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'r')
			root = optarg;
		else
			return err_set(err, ERR_USAGE, "see source-server --help");
	}
	if (optind < argc)
		return err_set(err, ERR_USAGE, "\"%s\" is not an option", argv[optind]);
	if (capture_inventory(root, json, &text, err) < 0)
		return -1;
	if (fdio_write(STDOUT_FILENO, text.s, text.len) < 0)
		return err_sys(err, ERR_INTERNAL, "write the inventory");
	return 1;
}

int main(int argc, char **argv)
{
	static struct args a = { .c = { .port = PROTO_PORT, .freeze_s = FREEZE_S,
					 .grace_s = GRACE_S, .hooks.limit_s = HOOK_S,
					 .snapshots = true } };
	struct err err = ERR_INIT;
	int r;

	secret_guard();
	a.c.drives = a.drives;
	a.c.host = a.host;
	if (argc > 1 && !strcmp(argv[1], "inventory"))
		r = inventory(argc - 1, argv + 1, &err);
	else
		r = parse(&a, argc, argv, &err);
	if (!r)
		r = serve(&a.c, &err);
	serve_keys_wipe(&a.keys);
	if (r >= 0)
		return 0;
	fprintf(stderr, "source-server: %s\nhint: %s\n", err.text, err_hint(err.code));
	return err_exit_status(err.code);
}
