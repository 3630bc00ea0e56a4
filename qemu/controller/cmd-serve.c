/* SPDX-License-Identifier: Apache-2.0 */
/* The command that answers workers: where it listens,
 * and what it does besides answering. */
#include "controller.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_US 100000

/* Workers that fell silent. Silence before this server started was ours, not theirs. */
static void check_leases(struct server *s)
{
	int64_t now = now_ms(), lease = (int64_t)s->lease_s * 1000, worker;
	char *migration;

	if (now - s->started_ms < lease)
		return;
	for (;;) {
		worker = sql_int(&s->store, 0,
			"SELECT w.row FROM worker w JOIN migration m"
			" ON m.id = w.migration WHERE m.state = 'open' AND NOT w.lost AND w.seen_ms < ?"
			" AND w.boot = (SELECT max(boot) FROM worker WHERE migration = m.id)"
			" AND NOT EXISTS (SELECT 1 FROM result WHERE worker = w.row)",
			"i", now - lease);
		if (worker <= 0)
			return;
		migration = sql_text(&s->store,
			"SELECT migration FROM worker WHERE row = ?", "i", worker);
		if (!migration || sql_run(&s->store, "BEGIN IMMEDIATE", "") < 0) {
			free(migration);
			return;
		}
		if (sql_run(&s->store, "UPDATE worker SET lost = 1 WHERE row = ?", "i",
		    worker) < 0 || store_event(&s->store, migration, worker, "lease_lost",
			    "no sign of life from the worker") < 0)
			sql_run(&s->store, "ROLLBACK", "");
		else
			sql_run(&s->store, "COMMIT", "");
		free(migration);
	}
}

/* Wakes long polls when a command line has written to the state;
 * SQLite has no other sign. */
static void *watch(void *ctx)
{
	struct server *s = ctx;
	int64_t last = -1, v;
	unsigned n = 0;

	while (!s->stopping) {
		pthread_mutex_lock(&s->lock);
		v = store_version(&s->store);
		if (v != last)
			pthread_cond_broadcast(&s->changed);
		last = v;
		if (++n % 10 == 0)
			check_leases(s);
		pthread_mutex_unlock(&s->lock);
		peers_check(s);
		usleep(WATCH_US);
	}
	return NULL;
}

/* "127.0.0.1:8443" or "[::1]:8443": nothing is listened on but that address; ":8443" and
 * "[::]:8443": all addresses, of IPv6 and IPv4. */
static void parse_listen(const char *text, struct sockaddr_storage *sa)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)sa;
	const char *colon = strrchr(text, ':');
	char host[64], *end;
	unsigned long port;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		die("--listen %s: is not ADDRESS:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || port > 65535)
		die("--listen %s: is not ADDRESS:PORT", text);
	memset(sa, 0, sizeof(*sa));
	if (!*host)
		strcpy(host, "[::]");
	if (*host == '[' && host[strlen(host) - 1] == ']') {
		host[strlen(host) - 1] = '\0';
		sa->ss_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1)
			return;
	} else {
		sa->ss_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
			return;
	}
	die("--listen %s: %s is not an address", text, host);
}

static void announce(struct server *s, struct MHD_Daemon *d, const char *listen)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT);
	bool all = *listen == ':' || !strncmp(listen, "[::]:", 5);
	char url[128];

	if (*listen == ':')
		listen = "[::]:";
	snprintf(url, sizeof(url), "https://%.*s:%u/v1",
		(int)(strrchr(listen, ':') - listen), listen, info->port);
	/* Workers need one address of these. */
	if (!all && sql_run(&s->store,
		"INSERT INTO meta VALUES ('url', ?) ON CONFLICT (name) DO UPDATE"
		" SET value = excluded.value", "s", url) < 0)
		die("the state in %s cannot be written", s->store.dir);
	printf("url %s\npin %s\n", url, s->id.pin);
	fflush(stdout);
}

int cmd_serve(const char *state, int argc, char **argv)
{
	const char *listen = "127.0.0.1:8443";
	struct server s = { .lease_s = 60, .started_ms = now_ms() };
	struct sockaddr_storage sa;
	struct MHD_Daemon *d;
	pthread_t watcher;
	sigset_t set;
	int sig;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--listen") && i + 1 < argc)
			listen = argv[++i];
		else if (!strcmp(argv[i], "--lease") && i + 1 < argc)
			s.lease_s = (unsigned)strtoul(argv[++i], NULL, 10);
		else
			die("serve: what is %s?", argv[i]);
	}
	if (s.lease_s < 2 || s.lease_s > 3600)
		die("--lease: 2 to 3600 seconds");
	parse_listen(listen, &sa);
	store_open(&s.store, state);
	identity_open(&s.id, state);
	pthread_mutex_init(&s.lock, NULL);
	pthread_mutex_init(&s.peers_lock, NULL);
	pthread_cond_init(&s.changed, NULL);

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d = server_listen(&s, &sa);
	if (!d)
		die("cannot listen on %s: %s", listen, strerror(errno));
	if (pthread_create(&watcher, NULL, watch, &s))
		die("cannot start a thread");
	announce(&s, d, listen);

	sigwait(&set, &sig);
	s.stopping = true;
	pthread_mutex_lock(&s.lock);
	pthread_cond_broadcast(&s.changed);
	pthread_mutex_unlock(&s.lock);
	pthread_join(watcher, NULL);
	MHD_stop_daemon(d);
	store_close(&s.store);
	identity_close(&s.id);
	return 0;
}
