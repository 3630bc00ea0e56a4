/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that makes, watches and removes LVM snapshots. It is forked before the
 * server gives up its rights, and ends with it: whatever happens to the server, its
 * snapshots are removed. It opens what it made and hands the descriptor over. One message
 * is one request or one answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "serve/freeze-internal.h"

#define WATCH_MS 2000
/* seconds: what a killed server had open is closed a little later */
#define LAST_TRIES 20

enum word { WORD_MAKE = 'm', WORD_DROP = 'd', WORD_CHECK = 'c' };

struct request {
	unsigned number;
	char word;
	unsigned char drive;
};

struct answer {
	unsigned number; /* of the request: some are waited for no more */
	int status;
	char text[sizeof(((struct err *)0)->text)];
};

struct shared {
	_Atomic bool lost[SERVE_MAX_DRIVES];
};

struct serve_snapper {
	int channel;
	pid_t process;
	struct shared *shared;
	pthread_mutex_t lock; /* of the channel: one request at a time */
	unsigned asked;
	/* of the process */
	struct {
		char volume[256];
		struct capture_snapshot now;
		unsigned unwanted; /* how often the removal of now has failed */
	} drives[SERVE_MAX_DRIVES];
	unsigned made;
};

static int send_answer(int channel, const struct answer *a, int fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(channel, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static int drop(struct serve_snapper *z, unsigned i, struct err *err)
{
	if (capture_lvm_remove(&z->drives[i].now, err) < 0) {
		/* Once may be a descriptor on its way; the request may be given up. */
		if (++z->drives[i].unwanted == 2)
			log_warn("%s; it is tried again", err->text);
		return -1;
	}
	z->drives[i].unwanted = 0;
	atomic_store(&z->shared->lost[i], false);
	return 0;
}

/* Whether the server is there still; what is asked next waits. */
static int server_tick(void *ctx, struct err *err)
{
	const struct serve_snapper *z = ctx;
	struct pollfd p = { .fd = z->channel };

	if (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
		return err_set(err, ERR_SRC_SNAPSHOT, "source-server has ended");
	return 0;
}

/* The descriptor, or -1. */
static int make(struct serve_snapper *z, unsigned i, struct err *err)
{
	struct capture_snapshot *now = &z->drives[i].now;
	const struct serve_wait wait = { server_tick, z };
	struct err ignored = ERR_INIT;
	int fd;

	/* Flush first: otherwise lvm does it while all writers stand still. */
	if (drop(z, i, err) < 0 ||
		serve_flush_volume(z->drives[i].volume, &wait, err) < 0 ||
		capture_lvm_snapshot(z->drives[i].volume, z->made++, now, err) < 0)
		return -1;
	fd = open(now->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err_sys(err, ERR_SRC_SNAPSHOT, "open %s", now->path);
	if (drop(z, i, &ignored) < 0)
		log_error("%s", ignored.text);
	return -1;
}

static int check(struct serve_snapper *z, unsigned i, struct err *err)
{
	if (capture_lvm_watch(&z->drives[i].now, err) == 0)
		return 0;
	if (!atomic_exchange(&z->shared->lost[i], true))
		log_error("%s", err->text);
	return -1;
}

static int answer(struct serve_snapper *z, const struct request *r)
{
	struct answer a = { .number = r->number, .status = -1 };
	struct err err = ERR_INIT;
	int fd = -1, status;

	if (r->drive >= SERVE_MAX_DRIVES)
		err_set(&err, ERR_INTERNAL, "no such drive");
	else if (r->word == WORD_MAKE)
		a.status = (fd = make(z, r->drive, &err)) < 0 ? -1 : 0;
	else if (r->word == WORD_DROP)
		a.status = drop(z, r->drive, &err);
	else
		a.status = check(z, r->drive, &err);
	memcpy(a.text, err.text, sizeof(a.text));
	status = send_answer(z->channel, &a, fd);
	if (fd >= 0)
		close(fd);
	return status;
}

static void remove_all(struct serve_snapper *z)
{
	static const struct timespec second = { .tv_sec = 1 };

	for (unsigned i = 0; i < SERVE_MAX_DRIVES; i++) {
		struct err err = ERR_INIT;

		for (int n = 0; n < LAST_TRIES && drop(z, i, &err) < 0; n++)
			nanosleep(&second, NULL);
		if (z->drives[i].now.volume[0])
			log_error("%s", err.text);
	}
}

static void work(struct serve_snapper *z)
{
	struct pollfd p = { .fd = z->channel, .events = POLLIN };
	struct serve_log log;
	struct request r;
	struct err err = ERR_INIT;

	setsid(); /* not ended by the keyboard */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "snapshots");
	/* While it waits for a log on a frozen file system, nobody would watch. */
	if (serve_log_detach(&log, &err) < 0)
		_exit(1);
	for (;;) {
		int n = poll(&p, 1, WATCH_MS);

		if (n < 0 && errno != EINTR)
			break;
		if (n > 0) {
			if (recv(z->channel, &r, sizeof(r), 0) != sizeof(r) ||
			    answer(z, &r) < 0)
				break;
			continue;
		}
		for (unsigned i = 0; i < SERVE_MAX_DRIVES; i++)
			if (z->drives[i].unwanted)
				drop(z, i, &err);
			else if (z->drives[i].now.volume[0])
				check(z, i, &err);
	}
	remove_all(z);
	serve_log_end(&log);
	_exit(0);
}

/* The next answer; *ret_fd is -1 when no descriptor came with it. */
static int receive_answer(int channel, struct answer *a, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov = { a, sizeof(*a) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	ssize_t n;

	do
		n = recvmsg(channel, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	*ret_fd = -1;
	if (n != sizeof(*a))
		return -1;
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)) &&
	    control.head.cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(&control.head), sizeof(*ret_fd));
	return 0;
}

static int send_request(struct serve_snapper *z, enum word word, unsigned drive)
{
	struct request r = { ++z->asked, (char)word, (unsigned char)drive };

	return send(z->channel, &r, sizeof(r), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The answer to the last request. 0, -1 gone, 1 whoever waits has given up. */
static int wait_answer(struct serve_snapper *z, const struct serve_wait *wait,
	struct answer *a, int *ret_fd, struct err *err)
{
	struct pollfd p = { .fd = z->channel, .events = POLLIN };

	for (;;) {
		int n = poll(&p, 1, wait ? 1000 : -1);

		if (!n && wait->tick(wait->ctx, err) < 0)
			return 1;
		if (n <= 0)
			continue;
		if (receive_answer(z->channel, a, ret_fd) < 0)
			return -1;
		if (a->number == z->asked)
			return 0;
		if (*ret_fd >= 0) /* to one that was waited for no more */
			close(*ret_fd);
	}
}

/* An answer that nobody waits for may carry a snapshot's descriptor. As long as it lies
 * in the channel, that snapshot is in use and cannot be removed. */
void serve_snapper_drain(struct serve_snapper *z)
{
	struct pollfd p = { .fd = z->channel, .events = POLLIN };
	struct answer a;
	int fd;

	if (pthread_mutex_trylock(&z->lock))
		return; /* somebody waits, and takes all of them */
	while (poll(&p, 1, 0) > 0 && p.revents & POLLIN &&
	    receive_answer(z->channel, &a, &fd) == 0)
		if (fd >= 0)
			close(fd);
	pthread_mutex_unlock(&z->lock);
}

/* One request; wait and ret_fd may be NULL. */
static int ask(struct serve_snapper *z, enum word word, unsigned drive,
	const struct serve_wait *wait, int *ret_fd, struct err *err)
{
	struct answer a;
	int fd = -1, r;

	pthread_mutex_lock(&z->lock);
	r = send_request(z, word, drive);
	if (!r)
		r = wait_answer(z, wait, &a, &fd, err);
	/* Nobody has use for the snapshot that is being made. */
	if (r > 0 && word == WORD_MAKE)
		send_request(z, WORD_DROP, drive);
	pthread_mutex_unlock(&z->lock);
	if (r > 0)
		return -1;
	if (r < 0)
		return err_set(err, ERR_SRC_SNAPSHOT,
			"the process that makes snapshots is gone");
	if (a.status)
		return err_set(err, ERR_SRC_SNAPSHOT, "%.*s", (int)sizeof(a.text) - 1,
			a.text);
	if (ret_fd)
		*ret_fd = fd;
	return 0;
}

int serve_snapper_make(struct serve_snapper *z, unsigned drive,
	const struct serve_wait *wait, int *ret_fd, struct err *err)
{
	if (ask(z, WORD_MAKE, drive, wait, ret_fd, err) < 0)
		return -1;
	return *ret_fd < 0 ? err_set(err, ERR_INTERNAL, "no descriptor came") : 0;
}

int serve_snapper_drop(struct serve_snapper *z, unsigned drive, struct err *err)
{
	return ask(z, WORD_DROP, drive, NULL, NULL, err);
}

bool serve_snapper_lost(struct serve_snapper *z, unsigned drive, bool look)
{
	struct err err = ERR_INIT;

	return atomic_load(&z->shared->lost[drive]) ||
		(look && ask(z, WORD_CHECK, drive, NULL, NULL, &err) < 0);
}

/* Which drives are LVM volumes. */
static unsigned find(struct serve_snapper *z, const struct serve_config *c)
{
	struct stat st;
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_drives; i++) {
		char *volume = z->drives[i].volume;

		if (capture_lvm_volume(c->drives[i].path, volume,
			sizeof(z->drives[i].volume))) {
			n++;
			continue;
		}
		volume[0] = '\0';
		if (!stat(c->drives[i].path, &st) && S_ISBLK(st.st_mode))
			log_info("drive %s: no snapshot, as it is no LVM volume",
				c->drives[i].name);
	}
	return n;
}

static int start(struct serve_snapper *z, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, ERR_INTERNAL, "socket of the snapshots' process");
	z->process = fork();
	if (z->process < 0) {
		err_sys(err, ERR_INTERNAL, "start the snapshots' process");
		close(pair[0]);
		close(pair[1]);
		return -1;
	}
	z->channel = pair[z->process ? 0 : 1];
	close(pair[z->process ? 1 : 0]);
	if (!z->process)
		work(z);
	return 0;
}

int serve_snapper_new(const struct serve_config *c, struct serve_snapper **ret,
	struct err *err)
{
	struct serve_snapper *z = calloc(1, sizeof(*z));

	*ret = NULL;
	if (!z)
		return err_set(err, ERR_NOMEM, "snapshots: out of memory");
	if (!find(z, c)) {
		free(z);
		return 0;
	}
	for (unsigned i = 0; i < c->n_drives; i++)
		if (z->drives[i].volume[0])
			capture_lvm_sweep(z->drives[i].volume);
	pthread_mutex_init(&z->lock, NULL);
	z->channel = -1;
	z->shared = mmap(NULL, sizeof(*z->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (z->shared == MAP_FAILED) {
		free(z);
		return err_sys(err, ERR_NOMEM, "snapshots");
	}
	if (start(z, err) < 0) {
		serve_snapper_free(z);
		return -1;
	}
	*ret = z;
	return 0;
}

bool serve_snapper_knows(const struct serve_snapper *z, unsigned drive)
{
	return z && z->drives[drive].volume[0];
}

void serve_snapper_free(struct serve_snapper *z)
{
	if (!z)
		return;
	if (z->channel >= 0)
		close(z->channel);
	if (z->process > 0)
		while (waitpid(z->process, NULL, 0) < 0 && errno == EINTR)
			continue;
	munmap(z->shared, sizeof(*z->shared));
	free(z);
}
