/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker compare: whether a device or file holds what the source does, leaf by leaf of 64
 * KiB. Nothing is written. A source-server sends hashes; from other sources everything is
 * read.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "base/log.h"
#include "block/block.h"
#include "commands.h"
#include "copy/copy.h"

#define STEP (16u << 20) /* bytes that the source is asked about at once */

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "allow-plain", no_argument, NULL, 'p' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char usage_text[] =
	"usage: worker compare [options] SOURCE TARGET\n"
	"  SOURCE  as of worker copy\n"
	"  TARGET  block device or file; it is only read\n"
	"  --json         one JSON line instead of a line for each range that differs\n"
	"  --allow-plain  a source without TLS (tw://)\n"
	"  --help         this text\n";

struct comparison {
	struct source *src;
	struct source_chan *chan;
	struct block_dev dst;
	struct source_hash *hashes; /* of a step */
	uint8_t *leaf;
	bool json;
	uint64_t leaves, different, ranges, wire;
	uint64_t from, to;          /* the range that differs and is not told yet */
};

static void tell_range(struct comparison *c)
{
	if (c->from == c->to)
		return;
	printf(c->json ? "%s[%" PRIu64 ",%" PRIu64 "]" :
		"%sdiffers %" PRIu64 " %" PRIu64 "\n", c->json && c->ranges ? "," :
			"", c->from, c->to - c->from);
	c->ranges++;
	c->from = c->to = 0;
}

/* Both devices and files may be longer than the source:
 * what is behind its end is nobody's business. */
static int compare_leaf(struct comparison *c, uint64_t off, uint32_t len,
	const struct source_hash *want, struct err *err)
{
	struct source_hash have;

	if (fdio_pread(c->dst.fd, c->leaf, len, off) < 0)
		return err_sys(err, ERR_DISK_IO, "%s: read %" PRIu32 " bytes at %" PRIu64,
			c->dst.name, len, off);
	source_hash_leaf(c->src, c->leaf, len, &have);
	c->leaves++;
	if (!memcmp(have.b, want->b, sizeof(have.b)))
		return 0;
	c->different++;
	if (c->to != off) {
		tell_range(c);
		c->from = off;
	}
	c->to = off + len;
	return 0;
}

static int compare(struct comparison *c, struct err *err)
{
	uint64_t size = source_get_info(c->src)->size;

	if (c->dst.size < size)
		return err_set(err, ERR_DISK_SMALL,
			"%s has %" PRIu64 " bytes, the source %" PRIu64, c->dst.name,
			c->dst.size, size);
	c->hashes = malloc(STEP / SOURCE_LEAF * sizeof(*c->hashes));
	c->leaf = malloc(SOURCE_LEAF);
	if (!c->hashes || !c->leaf)
		return err_set(err, ERR_NOMEM, "compare: out of memory");
	if (source_chan_open(c->src, &c->chan, err) < 0)
		return -1;
	for (uint64_t off = 0; off < size; off += STEP) {
		uint64_t len = size - off < STEP ? size - off : STEP;

		if (source_hashes(c->chan, off, len, c->hashes, err) < 0)
			return -1;
		for (uint64_t at = 0; at < len; at += SOURCE_LEAF)
			if (compare_leaf(c, off + at,
				(uint32_t)(len - at < SOURCE_LEAF ? len - at :
				SOURCE_LEAF), &c->hashes[at / SOURCE_LEAF], err) < 0)
				return -1;
	}
	return 0;
}

static void run(struct comparison *c, const char *uri, const char *target,
	bool allow_plain, struct err *err)
{
	struct source_options opt = { .allow_plain = allow_plain, .compress = true };
	struct source_counters wire;
	struct err untold = ERR_INIT;
	int r = -1;

	c->dst.fd = -1;
	if (source_open(uri, &opt, &c->src, err) < 0)
		return;
	if (block_open(target, 0, &c->dst, err) == 0)
		r = compare(c, err);
	source_chan_close(c->chan);
	tell_range(c);
	/* A source that cannot be told lets its file systems go by
	 * itself after a while. */
	if (!r && source_finish(c->src, &untold) < 0)
		log_warn("%s", untold.text);
	source_get_counters(c->src, &wire);
	c->wire = wire.wire_in;
	if (!r && c->different)
		err_set(err, ERR_VERIFY_HASH,
			"%s: %" PRIu64 " of %" PRIu64 " leaves of 64 KiB differ from the "
			"source", target, c->different, c->leaves);
	block_close(&c->dst);
	source_close(c->src);
	free(c->hashes);
	free(c->leaf);
}

int cmd_compare(int argc, char **argv)
{
	struct comparison c = { .json = false };
	struct err err = ERR_INIT;
	bool allow_plain = false;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (o == '?')
			return err_exit_status(ERR_USAGE);
		c.json |= o == 'j';
		allow_plain |= o == 'p';
	}
	if (optind != argc - 2) {
		fputs(usage_text, stderr);
		return err_exit_status(ERR_USAGE);
	}
	if (c.json)
		fputs("{\"ranges\":[", stdout);
	run(&c, argv[optind], argv[optind + 1], allow_plain, &err);
	if (c.json)
		printf("],\"leaves\":%" PRIu64 ",\"different\":%" PRIu64 ",\"bytes_wire\":%" PRIu64
			",\"code\":\"%s\"}\n", c.leaves, c.different, c.wire,
			err_name(err.code));
	if (err.code)
		fprintf(stderr, "worker compare: %s: %s\n(%s)\n", err_name(err.code),
			err.text, err_hint(err.code));
	if (fflush(stdout))
		return err_exit_status(ERR_INTERNAL);
	return err_exit_status(err.code);
}
