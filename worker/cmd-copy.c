/* SPDX-License-Identifier: Apache-2.0 */
/* worker copy: one drive from a source to a device or file, by the engine of a job. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "commands.h"
#include "copy/copy.h"

static struct copy_control control;

static void on_signal(int sig)
{
	(void)sig;
	control.cancel = true;
}

enum {
	OPT_DELTA = 256, OPT_BITMAP, OPT_VERIFY, OPT_RESUME, OPT_TARGET_ZERO,
	OPT_CONNECTIONS, OPT_BANDWIDTH, OPT_NO_COMPRESS, OPT_PROGRESS, OPT_JSON,
	OPT_BAD_RANGES, OPT_JOURNAL, OPT_ALLOW_PLAIN, OPT_STALL, OPT_DEBUG, OPT_JOB_ID,
	OPT_HELP, OPT_MEMORY, OPT_LIVE, OPT_DOWNTIME, OPT_SINCE, OPT_CONSISTENT,
};

static const struct option options[] = {
	{ "delta", no_argument, NULL, OPT_DELTA },
	{ "bitmap", required_argument, NULL, OPT_BITMAP },
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "verify", required_argument, NULL, OPT_VERIFY },
	{ "resume", no_argument, NULL, OPT_RESUME },
	{ "live-passes", required_argument, NULL, OPT_LIVE },
	{ "downtime", required_argument, NULL, OPT_DOWNTIME },
	{ "target-zero", no_argument, NULL, OPT_TARGET_ZERO },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "bandwidth", required_argument, NULL, OPT_BANDWIDTH },
	{ "no-compress", no_argument, NULL, OPT_NO_COMPRESS },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "bad-ranges", required_argument, NULL, OPT_BAD_RANGES },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "allow-plain", no_argument, NULL, OPT_ALLOW_PLAIN },
	{ "require-consistency", no_argument, NULL, OPT_CONSISTENT },
	{ "stall", required_argument, NULL, OPT_STALL },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "job-id", required_argument, NULL, OPT_JOB_ID },
	{ "debug", no_argument, NULL, OPT_DEBUG },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: worker copy [options] SOURCE TARGET\n"
	"  SOURCE  tws://host[:5994]/drive?psk-file=F, tw:// (plain, with --allow-plain),\n"
	"          nbd://host[:port]/export, nbds://...?tls-psk-file=F, nbd+unix:///export?socket=S,\n"
	"          file:PATH\n"
	"  TARGET  block device or file\n"
	"  --delta             compare with the target, transfer what differs\n"
	"  --since STATE       with --delta: only what the source knows to have changed since\n"
	"                      (source_state of the copy that the target is, and nobody wrote to it)\n"
	"  --bitmap NAME       with --delta: only what qemu:dirty-bitmap:NAME calls dirty\n"
	"  --resume            continue an interrupted copy\n"
	"  --journal FILE      keep what is durable there, for sources without a journal\n"
	"  --live-passes N     at most N passes while the source works, before the one that counts\n"
	"  --downtime SECONDS  these end when the last pass will take no longer (default: 30)\n"
	"  --target-zero       the target reads as zeroes, zeroes are not written\n"
	"  --verify=none|sample|full  read back and compare (default: none)\n"
	"  --connections N     at most N connections (default: 5)\n"
	"  --bandwidth RATE    bytes a second, with K, M or G\n"
	"  --memory SIZE       data in flight (default: 40M)\n"
	"  --no-compress       no LZ4 on the wire\n"
	"  --bad-ranges FILE   go on where the source cannot be read, list those ranges there\n"
	"  --require-consistency  refuse a drive that the source cannot hold still\n"
	"  --stall SECONDS     give up when no byte came for so long (default: 600)\n"
	"  --job-id ID         name of the job in the source's journal\n"
	"  --progress          a bar on a terminal, lines otherwise\n"
	"  --json              the result as one JSON line at the end of standard output\n"
	"  --debug             more lines in the log\n"
	"  --help              this text\n";

struct args {
	struct source_options source;
	struct copy_options copy;
	bool json, progress, terminal;
	bool plain, debug; /* no LZ4; more lines */
	const char *uri, *target;
};

/* "200M" and the like, powers of 1024. */
static int parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	char *end;
	uint64_t v = strtoull(s, &end, 10);
	const char *unit;

	if (end == s || *s == '-')
		return -1;
	if (*end) {
		unit = strchr(units, *end & ~0x20);
		if (!unit || end[1])
			return -1;
		for (int i = 0; i <= unit - units; i++) {
			if (v > UINT64_MAX / 1024)
				return -1;
			v *= 1024;
		}
	}
	*ret = v;
	return v ? 0 : -1;
}

static int parse_verify(const char *s, enum copy_verify *ret)
{
	static const char *const names[] = { "none", "sample", "full" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(s, names[i])) {
			*ret = (enum copy_verify)i;
			return 0;
		}
	return -1;
}

static int not_one(struct err *err, const char *name, const char *v, const char *allowed)
{
	return err_set(err, ERR_USAGE, "--%s: \"%.60s\" is not %s", name, v, allowed);
}

#define AT(member) offsetof(struct args, member), sizeof(((struct args *)0)->member)

/* Numbers within limits; text names them. size: of an unsigned, or of a uint64_t. */
static const struct {
	int option;
	uint64_t min, max;
	const char *text;
	size_t at, size;
} numbers[] = {
	{ OPT_BANDWIDTH, 1, UINT64_MAX, "a rate such as 200M", AT(copy.bandwidth) },
	{ OPT_CONNECTIONS, 1, 16, "a number from 1 to 16", AT(copy.connections) },
	{ OPT_STALL, 1, 86400, "a number from 1 to 86400", AT(copy.stall_s) },
	{ OPT_LIVE, 1, 100, "a number from 1 to 100", AT(copy.live_passes) },
	{ OPT_DOWNTIME, 1, 86400, "a number from 1 to 86400", AT(copy.downtime_s) },
	{ OPT_MEMORY, 1 << 20, 64 << 20, "a size from 1M to 64M", AT(copy.memory) },
};

static int take_number(struct args *a, int c, const char *name, const char *v,
	struct err *err)
{
	uint64_t n = 0;
	unsigned u;
	size_t i;

	for (i = 0; numbers[i].option != c; i++) /* the rest of `options` is there */
		;
	if (parse_size(v, &n) < 0 || n < numbers[i].min || n > numbers[i].max)
		return not_one(err, name, v, numbers[i].text);
	u = (unsigned)n;
	memcpy((char *)a + numbers[i].at,
		numbers[i].size == sizeof(u) ? (void *)&u : (void *)&n, numbers[i].size);
	return 0;
}

static bool is_name(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;
	return n && n <= max;
}

static int take_value(struct args *a, int c, const char *name, const char *v,
	struct err *err)
{
	switch (c) {
	case OPT_BITMAP:
		a->source.bitmap = v;
		return *v ? 0 : not_one(err, name, v, "the name of a bitmap");
	case OPT_SINCE:
		a->source.since = v;
		return is_name(v, 39) ? 0 : not_one(err, name, v, "a source_state");
	case OPT_BAD_RANGES:
		a->copy.bad_ranges = v;
		return 0;
	case OPT_JOURNAL:
		a->copy.journal = v;
		return 0;
	case OPT_JOB_ID:
		a->source.job_id = v;
		return is_name(v, 127) ? 0 : not_one(err, name, v,
			"a name of at most 127 printable characters");
	case OPT_VERIFY:
		return parse_verify(v, &a->copy.verify) == 0 ? 0 :
			not_one(err, name, v, "none, sample or full");
	default:
		return take_number(a, c, name, v, err);
	}
}

static const struct {
	int option;
	size_t at;
} flags[] = {
	{ OPT_DELTA, offsetof(struct args, copy.delta) },
	{ OPT_RESUME, offsetof(struct args, copy.resume) },
	{ OPT_TARGET_ZERO, offsetof(struct args, copy.target_zero) },
	{ OPT_NO_COMPRESS, offsetof(struct args, plain) },
	{ OPT_PROGRESS, offsetof(struct args, progress) },
	{ OPT_JSON, offsetof(struct args, json) },
	{ OPT_ALLOW_PLAIN, offsetof(struct args, source.allow_plain) },
	{ OPT_CONSISTENT, offsetof(struct args, source.require_consistency) },
	{ OPT_DEBUG, offsetof(struct args, debug) },
};

static int take_flag(struct args *a, int c)
{
	size_t i;

	for (i = 0; flags[i].option != c; i++)
		;
	*(bool *)((char *)a + flags[i].at) = true;
	return 0;
}

static const char *name_of(int c)
{
	const struct option *o = options;

	while (o->name && o->val != c)
		o++;
	return o->name ? o->name : "?";
}

static int check_together(const struct args *a, struct err *err)
{
	if (a->copy.downtime_s && !a->copy.live_passes)
		return err_set(err, ERR_USAGE, "--downtime needs --live-passes");
	if ((a->source.bitmap || a->source.since) && !a->copy.delta)
		return err_set(err, ERR_USAGE, "--bitmap and --since need --delta");
	if ((a->source.bitmap || a->source.since) && a->copy.live_passes)
		return err_set(err, ERR_USAGE,
			"--bitmap and --since exclude --live-passes");
	return 0;
}

/* 0, 1 when help is asked for, -1. */
static int parse_args(int argc, char **argv, struct args *a, struct err *err)
{
	int c, i = 0, r;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", options, &i)) != -1) {
		if (c == OPT_HELP)
			return 1;
		if (c == ':')
			return err_set(err, ERR_USAGE, "--%s needs a value",
				name_of(optopt));
		if (c == '?' && optopt)
			return err_set(err, ERR_USAGE, "--%s takes no value",
				name_of(optopt));
		if (c == '?')
			return err_set(err, ERR_USAGE, "unknown option %.60s",
				argv[optind - 1]);
		r = optarg ? take_value(a, c, options[i].name, optarg, err) :
			take_flag(a, c);
		if (r < 0)
			return -1;
	}
	if (optind != argc - 2)
		return err_set(err, ERR_USAGE,
			"a SOURCE and a TARGET are wanted, not %d words: "
			"worker copy [options] SOURCE TARGET", argc - optind);
	a->uri = argv[optind];
	a->target = argv[optind + 1];
	if (!strncmp(a->target, "file:", 5))
		a->target += 5;
	if (!*a->target || strstr(a->target, "://"))
		return err_set(err, ERR_USAGE,
			"the target \"%.60s\" is not the path of a block device or "
			"file", a->target);
	return check_together(a, err);
}

static void print_eta(const struct copy_progress *p)
{
	if (p->eta_s != UINT64_MAX && p->eta_hi_s != UINT64_MAX)
		fprintf(stderr, ", %" PRIu64 " s left (%" PRIu64 "-%" PRIu64 ")",
			p->eta_s, p->eta_lo_s, p->eta_hi_s);
	else if (p->eta_s != UINT64_MAX)
		fprintf(stderr, ", %" PRIu64 " s left", p->eta_s);
}

static void on_progress(void *ctx, const struct copy_progress *p)
{
	const struct args *a = ctx;
	unsigned percent =
		p->total ? (unsigned)((double)p->flushed * 100 / (double)p->total) : 100;

	if (a->terminal) {
		char bar[31];

		for (unsigned i = 0; i < 30; i++)
			bar[i] = i < percent * 30 / 100 ? '#' : '.';
		bar[30] = '\0';
		fprintf(stderr, "\r\033[K%s %3u%% %s", bar, percent, p->phase);
	} else {
		fprintf(stderr, "progress %s %u%%", p->phase, percent);
	}
	fprintf(stderr, " %" PRIu64 " of %" PRIu64 " MiB durable, %.1f MiB/s",
		p->flushed >> 20, p->total >> 20, (double)p->rate / (1 << 20));
	print_eta(p);
	if (!a->terminal)
		fputc('\n', stderr);
}

static int print_result(const struct args *a, const struct copy_result *res,
	const struct err *err)
{
	CLEANUP_STRBUF struct strbuf out = STRBUF_INIT;

	if (a->progress && a->terminal)
		fputc('\n', stderr);
	if (err->code)
		fprintf(stderr, "worker copy: %s: %s\n(%s)\n", err_name(err->code),
			err->text, err_hint(err->code));
	if (!a->json)
		return 0;
	copy_result_json(res, err, &out);
	if (!out.failed && puts(out.s) >= 0 && !fflush(stdout))
		return 0;
	fputs("worker copy: cannot print the result\n", stderr);
	return -1;
}

static void copy_drive(const struct args *a, struct copy_result *res, struct err *err)
{
	struct source *src = NULL;
	struct sink *dst = NULL;
	struct err untold = ERR_INIT;
	int r = -1;

	source_cancelled_by(&control.cancel);
	if (source_open(a->uri, &a->source, &src, err) < 0) {
		/* There is no job document here that could be wrong. */
		if (err->code == ERR_CFG_INVALID || err->code == ERR_CFG_MISSING)
			err->code = ERR_USAGE;
		return;
	}
	if (sink_open(a->target, source_get_info(src)->size, &dst, err) == 0)
		r = copy_run(src, dst, &a->copy, &control, res, err);
	/* From here on a cancel is too late. */
	source_cancelled_by(NULL);
	/* A source that cannot be told lets its file systems go by itself in a while. */
	if (!r && source_finish(src, &untold) < 0)
		log_warn("%s", untold.text);
	if (!r && res->bad_bytes)
		err_set(err, ERR_SRC_READ,
			"%s: %" PRIu64 " bytes could not be read, see %s",
			source_name(src), res->bad_bytes, a->copy.bad_ranges);
	sink_close(dst);
	source_close(src);
}

int cmd_copy(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct args a = { .json = false };
	struct copy_result res = { .bytes_total = 0 };
	struct err err = ERR_INIT;
	int r;

	/* Whoever reads JSON gets it in any case. */
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		a.json |= !strcmp(argv[i], "--json");
	r = parse_args(argc, argv, &a, &err);
	if (r > 0) {
		fputs(usage_text, stdout);
		return 0;
	}
	if (r < 0) {
		print_result(&a, &res, &err);
		return err_exit_status(err.code);
	}
	if (a.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	a.source.compress = !a.plain;
	a.terminal = isatty(STDERR_FILENO);
	if (a.progress) {
		a.copy.progress = on_progress;
		a.copy.ctx = &a;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	copy_drive(&a, &res, &err);
	if (print_result(&a, &res, &err) < 0 && !err.code)
		return err_exit_status(ERR_INTERNAL);
	return err_exit_status(err.code);
}
