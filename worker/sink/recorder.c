/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record:TARGET[?log=FILE&eio=N&enospc=BYTES&torn=N&flip=N&slow=MS&flush-eio=N] - for
 * tests: hands on to TARGET and writes one line for each operation to FILE ("write OFF
 * LEN", "zero OFF LEN", "flush"), with faults: the Nth write fails with EIO (eio) or
 * after half of it was written (torn), or arrives with one bit changed and no error
 * (flip); writes beyond BYTES fail with ENOSPC, each flush takes MS, the Nth flush fails.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/sink-internal.h"

struct recorder {
	struct sink *to;
	FILE *log;
	pthread_mutex_t lock;
	uint64_t eio, enospc, torn, flip, slow_ms, flush_eio;
	_Atomic uint64_t writes, flushes;
};

static int parse(struct recorder *r, char *text, struct err *err)
{
	while (text && *text) {
		char *next = strchr(text, '&'), *value;

		if (next)
			*next++ = '\0';
		value = strchr(text, '=');
		if (!value)
			return err_set(err, ERR_USAGE, "record: %s has no value", text);
		*value++ = '\0';
		if (!strcmp(text, "log")) {
			r->log = fopen(value, "we");
			if (!r->log)
				return err_sys(err, ERR_USAGE, "record: create %s",
					value);
		} else if (!strcmp(text, "eio")) {
			r->eio = strtoull(value, NULL, 10);
		} else if (!strcmp(text, "enospc")) {
			r->enospc = strtoull(value, NULL, 10);
		} else if (!strcmp(text, "torn")) {
			r->torn = strtoull(value, NULL, 10);
		} else if (!strcmp(text, "flip")) {
			r->flip = strtoull(value, NULL, 10);
		} else if (!strcmp(text, "slow")) {
			r->slow_ms = strtoull(value, NULL, 10);
		} else if (!strcmp(text, "flush-eio")) {
			r->flush_eio = strtoull(value, NULL, 10);
		} else {
			return err_set(err, ERR_USAGE, "record: unknown parameter %s",
				text);
		}
		text = next;
	}
	return 0;
}

static int recorder_open(struct sink *k, const char *target, uint64_t size,
	struct err *err)
{
	struct recorder *r = calloc(1, sizeof(*r));
	char path[256], *query;

	k->priv = r;
	if (!r)
		return err_set(err, ERR_NOMEM, "record: out of memory");
	pthread_mutex_init(&r->lock, NULL);
	snprintf(path, sizeof(path), "%s", target + strlen("record:"));
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	if (parse(r, query, err) < 0)
		return -1;
	if (sink_open(path, size, &r->to, err) < 0)
		return -1;
	k->info = *sink_get_info(r->to);
	return 0;
}

static void recorder_close(struct sink *k)
{
	struct recorder *r = k->priv;

	if (!r)
		return;
	sink_close(r->to);
	if (r->log)
		fclose(r->log);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static void record(struct recorder *r, const char *what, uint64_t off, uint64_t len)
{
	if (!r->log)
		return;
	pthread_mutex_lock(&r->lock);
	fprintf(r->log, "%s %" PRIu64 " %" PRIu64 "\n", what, off, len);
	fflush(r->log);
	pthread_mutex_unlock(&r->lock);
}

static int fault(const struct sink *k, int sys, const char *what, uint64_t off,
	struct err *err)
{
	errno = sys;
	return err_sys(err, err_disk_code(sys), "%s: %s at %" PRIu64 " (injected)",
		k->name, what, off);
}

static int flip_bit(struct recorder *r, const void *buf, uint64_t off, struct err *err)
{
	uint8_t byte = *(const uint8_t *)buf ^ 0x10;

	return sink_write(r->to, &byte, 1, off, err);
}

static int recorder_write(struct sink *k, const void *buf, size_t len, uint64_t off,
	struct err *err)
{
	struct recorder *r = k->priv;
	uint64_t n = ++r->writes;

	record(r, "write", off, len);
	if (r->enospc && off + len > r->enospc)
		return fault(k, ENOSPC, "write", off, err);
	if (r->eio && n == r->eio)
		return fault(k, EIO, "write", off, err);
	if (r->torn && n == r->torn) {
		if (sink_write(r->to, buf, len / 2, off, err) < 0)
			return -1;
		return fault(k, EIO, "torn write", off, err);
	}
	if (sink_write(r->to, buf, len, off, err) < 0)
		return -1;
	return r->flip && n == r->flip ? flip_bit(r, buf, off, err) : 0;
}

static int recorder_read(struct sink *k, void *buf, size_t len, uint64_t off,
	struct err *err)
{
	return sink_read(((struct recorder *)k->priv)->to, buf, len, off, err);
}

static int recorder_zero(struct sink *k, uint64_t off, uint64_t len, struct err *err)
{
	struct recorder *r = k->priv;

	record(r, "zero", off, len);
	return sink_zero(r->to, off, len, err);
}

static int recorder_flush(struct sink *k, struct err *err)
{
	struct recorder *r = k->priv;
	struct timespec t = { .tv_sec = (time_t)(r->slow_ms / 1000),
		.tv_nsec = (long)(r->slow_ms % 1000 * 1000000) };

	/* What is recorded behind it was not there when the flush began. */
	record(r, "flush", 0, 0);
	if (r->slow_ms)
		nanosleep(&t, NULL);
	if (r->flush_eio && ++r->flushes == r->flush_eio)
		return fault(k, EIO, "flush", 0, err);
	return sink_flush(r->to, err);
}

static void recorder_forget(struct sink *k)
{
	sink_forget(((struct recorder *)k->priv)->to);
}

const struct sink_ops sink_recorder_ops = {
	.name = "record",
	.open = recorder_open,
	.close = recorder_close,
	.write = recorder_write,
	.read = recorder_read,
	.zero = recorder_zero,
	.flush = recorder_flush,
	.forget = recorder_forget,
};
