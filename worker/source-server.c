/* SPDX-License-Identifier: Apache-2.0 */
/* The source side's program: command line, then serve/. source-server.8 documents it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "proto/proto.h"
#include "serve/serve.h"

#define FREEZE_DEFAULT_S 1800
#define LINGER_DEFAULT_S 120

struct settings {
	struct serve_options serve;
	char host[256];
	bool lock_memory;
};

static struct serve *running;

static int set_drive(struct settings *st, const char *v, struct err *err)
{
	if (st->serve.n_drives == SERVE_MAX_DRIVES)
		return err_set(err, ERR_USAGE, "--drive: at most %d", SERVE_MAX_DRIVES);
	st->serve.drives[st->serve.n_drives++] = v;
	return 0;
}

/* ADDR, ADDR:PORT, [ADDR6]:PORT or :PORT */
static int set_listen(struct settings *st, const char *v, struct err *err)
{
	const char *colon = strrchr(v, ':'), *end = v + strlen(v);
	unsigned long port = PROTO_PORT;
	char *rest;

	if (v[0] == '[') {
		end = strchr(++v, ']');
		if (!end || (end[1] && end[1] != ':'))
			return err_set(err, ERR_USAGE, "--listen [%s: [ADDRESS]:PORT expected", v);
		colon = end[1] ? end + 1 : NULL;
	} else if (colon) {
		end = colon;
	}
	if (colon) {
		port = strtoul(colon + 1, &rest, 10);
		if (!isdigit((unsigned char)colon[1]) || *rest || port > 65535)
			return err_set(err, ERR_USAGE, "--listen: port \"%s\"", colon + 1);
	}
	if ((size_t)(end - v) >= sizeof(st->host))
		return err_set(err, ERR_USAGE, "--listen: address too long");
	memcpy(st->host, v, (size_t)(end - v));
	st->host[end - v] = '\0';
	st->serve.port = (uint16_t)port;
	return 0;
}

/* Every line of the file is a key that is accepted. */
static int set_psk_file(struct settings *st, const char *v, struct err *err)
{
	char *text, *line;
	size_t len;
	int r = 0;

	if (fdio_read_file(v, 1 << 16, &text, &len, err) < 0)
		return -1;
	for (line = text; *line && !r; line += strspn(line, "\r\n")) {
		char *end = line + strcspn(line, "\r\n");
		char saved = *end;

		*end = '\0';
		if (line[0] && line[0] != '#') {
			if (st->serve.n_keys == SERVE_MAX_KEYS)
				r = err_set(err, ERR_USAGE, "at most %d keys", SERVE_MAX_KEYS);
			else
				r = net_psk_parse(line, &st->serve.keys[st->serve.n_keys], err);
			st->serve.n_keys += !r;
		}
		*end = saved;
		line = end;
	}
	explicit_bzero(text, len);
	free(text);
	if (r < 0)
		return err_wrap(err, "%s", v);
	return st->serve.n_keys ? 0 : err_set(err, ERR_USAGE, "%s: no key in it", v);
}

static int set_allow_plain(struct settings *st, const char *v, struct err *err)
{
	(void)v, (void)err;
	st->serve.allow_plain = true;
	return 0;
}

static int set_bandwidth(struct settings *st, const char *v, struct err *err)
{
	static const char units[] = "KMG";
	char *rest;
	double n = strtod(v, &rest);
	const char *unit = *rest ? strchr(units, toupper((unsigned char)*rest)) : NULL;

	if (rest == v || !(n > 0 && n < 1e12) || (*rest && (!unit || rest[1])))
		return err_set(err, ERR_USAGE, "--bandwidth %s: bytes a second, with K, M or G", v);
	for (; unit && unit >= units; unit--)
		n *= 1024;
	st->serve.bandwidth = (uint64_t)n;
	return 0;
}

static int set_state_dir(struct settings *st, const char *v, struct err *err)
{
	(void)err;
	st->serve.state_dir = v;
	return 0;
}

static int seconds(const char *name, const char *v, unsigned max, unsigned *ret, struct err *err)
{
	char *rest;
	unsigned long n = strtoul(v, &rest, 10);

	if (!isdigit((unsigned char)v[0]) || *rest || !n || n > max)
		return err_set(err, ERR_USAGE, "%s %s: 1 to %u seconds", name, v, max);
	*ret = (unsigned)n;
	return 0;
}

static int set_freeze(struct settings *st, const char *v, struct err *err)
{
	st->serve.freeze_s = FREEZE_DEFAULT_S;
	if (!strcmp(v, "auto"))
		return 0;
	st->serve.freeze_s = 0;
	if (!strcmp(v, "never"))
		return 0;
	return seconds("--freeze", v, 86400, &st->serve.freeze_s, err);
}

static int set_linger(struct settings *st, const char *v, struct err *err)
{
	return seconds("--linger", v, 86400, &st->serve.linger_s, err);
}

static int set_verbose(struct settings *st, const char *v, struct err *err)
{
	(void)st, (void)v, (void)err;
	log_set_level(LOG_LEVEL_DEBUG);
	return 0;
}

static const struct setting {
	const char *name, *value, *help;
	int (*set)(struct settings *st, const char *v, struct err *err);
} table[] = {
	{ "drive", "NAME=PATH", "serve a block device or raw image file; repeat for each drive",
		set_drive },
	{ "listen", "[ADDR]:PORT", "default: every address, port 5994", set_listen },
	{ "psk-file", "FILE", "keys that are accepted, one USER:HEX a line", set_psk_file },
	{ "allow-plain", NULL, "no encryption at all; only for a network you own", set_allow_plain },
	{ "bandwidth", "RATE", "bytes a second at most, with K, M or G", set_bandwidth },
	{ "state-dir", "DIR", "where journals are kept, so that a copy resumes", set_state_dir },
	{ "freeze", "auto|never|SECONDS",
		"hold mounted file systems still while they are read (auto: 1800 s)", set_freeze },
	{ "linger", "SECONDS", "let them go when nobody is connected for so long (120)",
		set_linger },
	{ "verbose", NULL, "log every connection", set_verbose },
};
#define N_SETTINGS (sizeof(table) / sizeof(table[0]))

static void usage(FILE *f)
{
	fputs("usage: source-server --drive NAME=PATH... --psk-file FILE [OPTION...]\n"
	      "Serves this machine's drives, read-only, to a target-worker.\n\n", f);
	for (size_t i = 0; i < N_SETTINGS; i++)
		fprintf(f, "  --%s%s%s\n        %s\n", table[i].name, table[i].value ? " " : "",
			table[i].value ? table[i].value : "", table[i].help);
	fputs("  --help, --version\n", f);
}

/* 0 go on, 1 done (help), -1 error. */
static int parse(int argc, char **argv, struct settings *st, struct err *err)
{
	struct option opts[N_SETTINGS + 3];
	int o;

	memset(opts, 0, sizeof(opts));
	for (size_t i = 0; i < N_SETTINGS; i++)
		opts[i] = (struct option){ table[i].name,
			table[i].value ? required_argument : no_argument, NULL, (int)i + 256 };
	opts[N_SETTINGS] = (struct option){ "help", no_argument, NULL, 'h' };
	opts[N_SETTINGS + 1] = (struct option){ "version", no_argument, NULL, 'V' };
	while ((o = getopt_long(argc, argv, "h", opts, NULL)) != -1) {
		if (o == 'h') {
			usage(stdout);
			return 1;
		}
		if (o == 'V') {
			puts("source-server " TW_VERSION);
			return 1;
		}
		if (o < 256)
			return err_set(err, ERR_USAGE, "see source-server --help");
		if (table[o - 256].set(st, optarg, err) < 0)
			return -1;
	}
	if (optind < argc)
		return err_set(err, ERR_USAGE, "unexpected \"%s\"", argv[optind]);
	if (!st->serve.n_drives)
		return err_set(err, ERR_USAGE, "no --drive given");
	if (!st->serve.n_keys == !st->serve.allow_plain)
		return err_set(err, ERR_USAGE, "either --psk-file or --allow-plain");
	return 0;
}

static void on_signal(int sig)
{
	(void)sig;
	serve_stop(running);
}

static void ready(void *ctx, uint16_t port)
{
	const struct settings *st = ctx;

	log_info("listens on %s port %u", st->host[0] ? st->host : "every address", port);
}

/* While a root file system is frozen the log's reader may be stuck: a full pipe must not stop us. */
static void never_wait_for_log(void)
{
	struct stat sb;
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	if (flags >= 0 && !fstat(STDERR_FILENO, &sb) &&
		(S_ISSOCK(sb.st_mode) || S_ISFIFO(sb.st_mode)))
		fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
}

static int run(struct settings *st, struct err *err)
{
	struct sigaction stop = { .sa_handler = on_signal };
	int r;

	st->serve.host = st->host;
	st->serve.ready = ready;
	st->serve.ctx = st;
	if (serve_start(&st->serve, &running, err) < 0)
		return -1;
	if (st->serve.freeze_s) {
		never_wait_for_log();
		if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
			log_warn("memory cannot be locked (%s): with a frozen root this may hang "
				"until the watchdog thaws it", strerror(errno));
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	r = serve_run(running, err);
	serve_close(running);
	return r;
}

int main(int argc, char **argv)
{
	static struct settings st = { .serve = { .port = PROTO_PORT,
		.freeze_s = FREEZE_DEFAULT_S, .linger_s = LINGER_DEFAULT_S } };
	struct err err = ERR_INIT;
	int r;

	signal(SIGPIPE, SIG_IGN);
	r = parse(argc, argv, &st, &err);
	if (!r)
		r = run(&st, &err);
	if (r >= 0)
		return 0;
	log_error("%s: %s (%s)", err_name(err.code), err.text, err_hint(err.code));
	return err_exit_status(err.code);
}
