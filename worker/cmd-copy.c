/* SPDX-License-Identifier: Apache-2.0 */
/* worker copy: one drive from a source to a device or file; the same engine as in a job. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
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
	OPT_DELTA = 256, OPT_BITMAP, OPT_VERIFY, OPT_RESUME, OPT_TARGET_ZERO, OPT_CONNECTIONS,
	OPT_BANDWIDTH, OPT_NO_COMPRESS, OPT_PROGRESS, OPT_JSON, OPT_BAD_RANGES, OPT_JOURNAL,
	OPT_ALLOW_PLAIN, OPT_STALL, OPT_DEBUG, OPT_JOB_ID, OPT_HELP, OPT_MEMORY,
	OPT_LIVE, OPT_DOWNTIME, OPT_SINCE,
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

/* 0 taken, -1 bad value, -2 not an option with a value of this kind. */
static int take_value(struct args *a, int c, const char *v)
{
	uint64_t n = 0;

	switch (c) {
	case OPT_BITMAP:
		a->source.bitmap = v;
		return 0;
	case OPT_SINCE:
		if (!*v || strlen(v) > 39)
			return -1;
		a->source.since = v;
		return 0;
	case OPT_BAD_RANGES:
		a->copy.bad_ranges = v;
		return 0;
	case OPT_JOURNAL:
		a->copy.journal = v;
		return 0;
	case OPT_JOB_ID:
		a->source.job_id = v;
		return 0;
	case OPT_VERIFY:
		return parse_verify(v, &a->copy.verify);
	case OPT_BANDWIDTH:
		if (parse_size(v, &a->copy.bandwidth) < 0)
			return -1;
		return 0;
	case OPT_CONNECTIONS:
		if (parse_size(v, &n) < 0 || n > 16)
			return -1;
		a->copy.connections = (unsigned)n;
		return 0;
	case OPT_STALL:
		if (parse_size(v, &n) < 0 || n > 86400)
			return -1;
		a->copy.stall_s = (unsigned)n;
		return 0;
	case OPT_LIVE:
		if (parse_size(v, &n) < 0 || n > 100)
			return -1;
		a->copy.live_passes = (unsigned)n;
		return 0;
	case OPT_DOWNTIME:
		if (parse_size(v, &n) < 0 || n > 86400)
			return -1;
		a->copy.downtime_s = (unsigned)n;
		return 0;
	case OPT_MEMORY:
		if (parse_size(v, &n) < 0 || n > 64u << 20)
			return -1;
		a->copy.memory = (size_t)n;
		return 0;
	default:
		return -2;
	}
}

static int take_flag(struct args *a, int c)
{
	switch (c) {
	case OPT_DELTA:
		a->copy.delta = true;
		return 0;
	case OPT_RESUME:
		a->copy.resume = true;
		return 0;
	case OPT_TARGET_ZERO:
		a->copy.target_zero = true;
		return 0;
	case OPT_NO_COMPRESS:
		a->source.compress = false;
		return 0;
	case OPT_PROGRESS:
		a->progress = true;
		return 0;
	case OPT_JSON:
		a->json = true;
		return 0;
	case OPT_ALLOW_PLAIN:
		a->source.allow_plain = true;
		return 0;
	case OPT_DEBUG:
		log_set_level(LOG_LEVEL_DEBUG);
		return 0;
	default:
		return -1;
	}
}

static int parse_args(int argc, char **argv, struct args *a)
{
	int c, r;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == OPT_HELP)
			return 1;
		r = take_value(a, c, optarg);
		if (r == -2)
			r = take_flag(a, c);
		else if (r == -1)
			fprintf(stderr, "worker copy: bad value \"%s\"\n", optarg);
		if (r < 0)
			return -1;
	}
	if (optind != argc - 2)
		return -1;
	a->uri = argv[optind];
	a->target = argv[optind + 1];
	if (a->copy.downtime_s && !a->copy.live_passes) {
		fputs("worker copy: --downtime needs --live-passes\n", stderr);
		return -1;
	}
	if ((a->source.bitmap || a->source.since) && !a->copy.delta) {
		fputs("worker copy: --bitmap and --since need --delta\n", stderr);
		return -1;
	}
	return 0;
}

static void print_eta(const struct copy_progress *p)
{
	if (p->eta_s != UINT64_MAX && p->eta_hi_s != UINT64_MAX)
		fprintf(stderr, ", %" PRIu64 " s left (%" PRIu64 "-%" PRIu64 ")", p->eta_s,
			p->eta_lo_s, p->eta_hi_s);
	else if (p->eta_s != UINT64_MAX)
		fprintf(stderr, ", %" PRIu64 " s left", p->eta_s);
}

static void on_progress(void *ctx, const struct copy_progress *p)
{
	const struct args *a = ctx;
	unsigned percent = p->total ? (unsigned)((double)p->flushed * 100 / (double)p->total) : 100;

	if (a->terminal) {
		char bar[31];

		for (unsigned i = 0; i < 30; i++)
			bar[i] = i < percent * 30 / 100 ? '#' : '.';
		bar[30] = '\0';
		fprintf(stderr, "\r\033[K%s %3u%% %s", bar, percent, p->phase);
	} else {
		fprintf(stderr, "progress %s %u%%", p->phase, percent);
	}
	fprintf(stderr, " %" PRIu64 " of %" PRIu64 " MiB durable, %.1f MiB/s", p->flushed >> 20,
		p->total >> 20, (double)p->rate / (1 << 20));
	print_eta(p);
	if (!a->terminal)
		fputc('\n', stderr);
}

static int print_result(const struct args *a, const struct copy_result *res,
	const struct err *err)
{
	struct strbuf out = STRBUF_INIT;

	if (a->progress && a->terminal)
		fputc('\n', stderr);
	if (err->code)
		fprintf(stderr, "worker copy: %s: %s\n(%s)\n", err_name(err->code), err->text,
			err_hint(err->code));
	if (!a->json)
		return 0;
	copy_result_json(res, err, &out);
	if (out.failed || puts(out.s) < 0 || fflush(stdout)) {
		fputs("worker copy: cannot print the result\n", stderr);
		strbuf_free(&out);
		return -1;
	}
	strbuf_free(&out);
	return 0;
}

static void copy_drive(const struct args *a, struct copy_result *res, struct err *err)
{
	struct source *src = NULL;
	struct sink *dst = NULL;
	struct err untold = ERR_INIT;
	int r = -1;

	if (source_open(a->uri, &a->source, &src, err) < 0)
		return;
	if (sink_open(a->target, source_get_info(src)->size, &dst, err) == 0)
		r = copy_run(src, dst, &a->copy, &control, res, err);
	/* A source that cannot be told lets its file systems go by itself after a while. */
	if (!r && source_finish(src, &untold) < 0)
		log_warn("%s", untold.text);
	if (!r && res->bad_bytes)
		err_set(err, ERR_SRC_READ, "%s: %" PRIu64 " bytes could not be read, see %s",
			source_name(src), res->bad_bytes, a->copy.bad_ranges);
	sink_close(dst);
	source_close(src);
}

int cmd_copy(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct args a = { .source = { .compress = true } };
	struct copy_result res = { .bytes_total = 0 };
	struct err err = ERR_INIT;
	int r = parse_args(argc, argv, &a);

	if (r > 0) {
		fputs(usage_text, stdout);
		return 0;
	}
	if (r < 0) {
		fputs("usage: worker copy [options] SOURCE TARGET; see worker copy --help\n", stderr);
		return err_exit_status(ERR_USAGE);
	}
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
