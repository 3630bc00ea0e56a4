/* SPDX-License-Identifier: Apache-2.0 */
/* A real server on the loopback address that serves one file, in a thread of the test. */
#ifndef TESTS_UNIT_SERVE_RIG_H
#define TESTS_UNIT_SERVE_RIG_H

#include "serve/serve.h"

#include <pthread.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"

#include "../test.h"

#define KEY "00112233445566778899aabbccddeeff"
#define SIZE ((4u << 20) + 12345)

struct rig {
	struct serve_config c;
	struct serve_drive_spec drive;
	struct net_psk key;
	const struct net_psk *keys[2];
	struct serve *s;
	pthread_t thread;
	char path[64], dir[64];
	uint8_t *content;
};

static void *run(void *arg)
{
	struct err err = ERR_INIT;

	serve_run(arg, &err);
	return NULL;
}

/* The first MiB is random, then zeroes that are a hole, then text,
 * random to the odd end. */
static bool rig_up(struct rig *r, bool plain, uint64_t bandwidth, bool state)
{
	struct err err = ERR_INIT;
	int fd;

	log_set_level(LOG_LEVEL_ERROR);
	memset(r, 0, sizeof(*r));
	strcpy(r->path, "/tmp/tw-serve.XXXXXX");
	strcpy(r->dir, "/tmp/tw-state.XXXXXX");
	fd = mkstemp(r->path);
	r->content = calloc(1, SIZE);
	if (fd < 0 || !mkdtemp(r->dir) || !r->content || ftruncate(fd, SIZE) ||
		getrandom(r->content, 1 << 20, 0) < 0)
		return false;
	for (size_t i = 2 << 20; i < 3 << 20; i++)
		r->content[i] = "the same again, "[i % 16];
	if (getrandom(r->content + SIZE - 50000, 50000, 0) < 0 ||
		pwrite(fd, r->content, 1 << 20, 0) < 0 ||
		pwrite(fd, r->content + (2 << 20), 1 << 20, 2 << 20) < 0 ||
		pwrite(fd, r->content + SIZE - 50000, 50000, SIZE - 50000) < 0)
		return false;
	close(fd);
	r->drive = (struct serve_drive_spec){ "sda", r->path };
	r->keys[0] = &r->key;
	r->c = (struct serve_config){ .drives = &r->drive, .n_drives = 1,
		.host = "127.0.0.1",
		.psks = r->keys, .allow_plain = plain, .bandwidth = bandwidth,
		.state_dir = state ? r->dir : NULL, .freeze_s = 60, .grace_s = 1 };
	return !net_psk_parse("tester:" KEY, &r->key, &err) &&
		!serve_start(&r->c, &r->s, &err) &&
		!pthread_create(&r->thread, NULL, run, r->s);
}

static void rig_stop(struct rig *r)
{
	serve_stop(r->s);
	pthread_join(r->thread, NULL);
	serve_free(r->s);
}

static void rig_down(struct rig *r)
{
	char cmd[128];

	rig_stop(r);
	unlink(r->path);
	snprintf(cmd, sizeof(cmd), "rm -r %s", r->dir);
	CHECK(!system(cmd));
	free(r->content);
}

#endif
