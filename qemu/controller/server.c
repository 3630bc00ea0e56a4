/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS through libmicrohttpd: one thread a connection, requests routed by a table. A
 * request that writes is one transaction: the answer leaves after the commit, and a
 * failure leaves nothing.
 */
#include "controller.h"

#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_CONNECTIONS 200
/* Bytes of a body that is not wanted, and too much: an answer in front of a body that is
 * on its way may get lost with the connection. */
#define MAX_THROWN_AWAY (64u << 10)
#define MAX_TOO_LARGE (2u << 20)
#define IDLE_S 120 /* more than a long poll's 60 */

static const struct route routes[] = {
	{ "POST", "/v1/register", "application/json", MAX_REGISTER, false, api_register },
	{ "POST", "/v1/workers/*/heartbeat", "application/json", MAX_BODY, true,
		api_heartbeat },
	{ "GET", "/v1/workers/*/commands", NULL, 0, true, api_commands },
	{ "POST", "/v1/workers/*/events", "application/cloudevents-batch+json",
		MAX_BODY, true,
		api_events },
	{ "PUT", "/v1/workers/*/logs/*", "text/plain", MAX_LOG_CHUNK, true, api_logs },
	{ "PUT", "/v1/workers/*/journals/*", "application/json", MAX_BODY, true,
		api_journal_put },
	{ "GET", "/v1/workers/*/journals/*", NULL, 0, true, api_journal_get },
	{ "PUT", "/v1/workers/*/result", "application/json", MAX_BODY, true, api_result },
};

void problem(struct reply *r, unsigned status, const char *code, const char *fmt, ...)
{
	va_list ap;

	r->status = status;
	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

static const char *hint_of(const char *code)
{
	return !strcmp(code,
		"CTL_AUTH") ? "make a new job; its token is good for one migration"
		: !strcmp(code,
			"CTL_GONE")  ? "the migration is over, or a newer boot took over"
		: !strcmp(code,
			"CTL_PROTO") ? "compare the request with controller-api.yaml"
		: !strcmp(code, "INTERNAL")  ? "see the controller's standard error"
					     : "try again later";
}

static const char *title_of(unsigned status)
{
	static const struct {
		unsigned status;
		const char *title;
	} titles[] = {
		{ 400, "Bad Request" }, { 401, "Unauthorized" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 409, "Conflict" }, { 410, "Gone" },
		{ 413, "Content Too Large" }, { 415, "Unsupported Media Type" },
		{ 500, "Internal Server Error" }, { 503, "Service Unavailable" },
	};

	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		if (titles[i].status == status)
			return titles[i].title;
	return "Error";
}

static enum MHD_Result send_reply(struct MHD_Connection *c, struct reply *r)
{
	bool bad = r->status >= 400;
	struct MHD_Response *m;
	enum MHD_Result rc;
	char *text;

	if (bad) {
		json_t *p = json_pack("{ss ss si ss ss sb ss}", "type", "about:blank",
			"title", title_of(r->status), "status", (int)r->status, "detail",
			r->detail, "code", r->code, "retryable", r->status >= 500 ||
			r->status == 409, "hint", hint_of(r->code));

		if (p && r->body)
			json_object_update(p, r->body);
		json_decref(r->body);
		r->body = p;
	}
	text = r->body ? json_dumps(r->body, JSON_COMPACT) : NULL;
	json_decref(r->body);
	if (!text)
		return MHD_NO;
	m = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!m)
		return MHD_NO;
	MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE,
		bad ? "application/problem+json" : "application/json");
	MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (r->status == 401)
		MHD_add_response_header(m, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (r->status == 503)
		MHD_add_response_header(m, MHD_HTTP_HEADER_RETRY_AFTER, "5");
	rc = MHD_queue_response(c, r->status, m);
	MHD_destroy_response(m);
	return rc;
}

/* Matches url against a route's path; parts under "*" go to the request. */
static bool match(const char *pattern, const char *url, struct request *q)
{
	char *parts[2] = { q->worker_id, q->name };
	size_t sizes[2] = { sizeof(q->worker_id), sizeof(q->name) }, n;
	int i = 0;

	while (*pattern) {
		if (*pattern != '*') {
			if (*pattern++ != *url++)
				return false;
			continue;
		}
		n = strcspn(url, "/");
		if (!n || n >= sizes[i])
			return false;
		memcpy(parts[i], url, n);
		parts[i++][n] = '\0';
		url += n;
		pattern++;
	}
	return !*url;
}

static const struct route *find_route(const char *method, const char *url,
	struct request *q, bool *ret_other_method)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!match(routes[i].path, url, q))
			continue;
		if (!strcmp(routes[i].method, method))
			return &routes[i];
		*ret_other_method = true;
	}
	return NULL;
}

static int64_t query_int(struct MHD_Connection *c, const char *name)
{
	const char *s = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
	char *end;
	long long v;

	if (!s || !*s || strspn(s, "0123456789") != strlen(s) || strlen(s) > 16)
		return -1;
	v = strtoll(s, &end, 10);
	return v;
}

static bool right_type(struct MHD_Connection *c, const char *wanted)
{
	const char *s = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Type");
	size_t n = strlen(wanted);

	return s && !strncasecmp(s, wanted, n) && (!s[n] || s[n] == ';' || s[n] == ' ');
}

static uint64_t announced(struct MHD_Connection *c)
{
	const char *s = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Content-Length");

	return s ? strtoull(s, NULL, 10) : 0;
}

static bool is_too_large(struct MHD_Connection *c, const struct request *q)
{
	return q->too_large || announced(c) > q->route->max_body;
}

/* Whether the body is worth reading: only of a worker that has shown its token, but for
 * registrations, which have theirs in the body. Asked again when it has come, as the
 * migration may be over by then. Returns false with r filled when refused. */
static bool admit(struct server *s, struct MHD_Connection *c, struct request *q,
	struct reply *r)
{
	const char *auth = MHD_lookup_connection_value(c, MHD_HEADER_KIND,
		"Authorization");
	int rc = 0;

	if (q->route->session) {
		pthread_mutex_lock(&s->lock);
		rc = api_authenticate(s, q,
			auth && !strncasecmp(auth, "Bearer ", 7) ? auth + 7 : "", r);
		pthread_mutex_unlock(&s->lock);
	}
	if (rc < 0)
		return false;
	if (q->route->session && !peers_admit(s, c, q->worker))
		problem(r, 503, "CTL_BUSY", "this worker has too many connections");
	else if (is_too_large(c, q))
		problem(r, 413, "CTL_PROTO", "at most %zu bytes", q->route->max_body);
	else if (q->route->content_type && !right_type(c, q->route->content_type))
		problem(r, 415, "CTL_PROTO", "the body must be %s",
			q->route->content_type);
	else
		return true;
	return false;
}

static void run(struct server *s, struct MHD_Connection *c, struct request *q,
	struct reply *r)
{
	bool writes = strcmp(q->route->method, "GET") != 0;

	if (!admit(s, c, q, r))
		return;
	q->offset = query_int(c, "offset");
	q->after = query_int(c, "after");
	q->wait = query_int(c, "wait");
	pthread_mutex_lock(&s->lock);
	if (writes && sql_run(&s->store, "BEGIN IMMEDIATE", "") < 0) {
		problem(r, 503, "CTL_BUSY", "the state is in use");
	} else {
		q->route->run(s, q, r);
		if (writes && sql_run(&s->store,
			r->status < 400 ? "COMMIT" : "ROLLBACK", "") < 0) {
			json_decref(r->body);
			r->body = NULL;
			problem(r, 500, "INTERNAL", "the state could not be written");
			if (!sqlite3_get_autocommit(s->store.db))
				sql_run(&s->store, "ROLLBACK", "");
		}
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	/* A registration that was good: what comes next is its worker's. */
	if (!q->route->session && r->status == 200)
		peers_admit(s, c, q->worker);
}

/* Takes a piece of the body in; too much of it is counted as too
 * large and thrown away. */
static void take(struct request *q, const char *data, size_t len)
{
	char *bigger;

	if (q->too_large || len > q->route->max_body - q->len) {
		q->too_large = true;
		return;
	}
	if (q->len + len + 1 > q->cap) {
		q->cap = 2 * (q->len + len) + 1;
		bigger = realloc(q->body, q->cap);
		if (!bigger)
			die("out of memory");
		q->body = bigger;
	}
	memcpy(q->body + q->len, data, len);
	q->len += len;
	q->body[q->len] = '\0';
}

static size_t thrown_away(const struct request *q)
{
	return q->refusal.status == 413 ? MAX_TOO_LARGE : MAX_THROWN_AWAY;
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *c, const char *url,
	const char *method, const char *version, const char *data, size_t *data_len,
	void **state)
{
	struct server *s = ctx;
	struct request *q = *state;
	struct reply r = { .status = 0 };
	bool other_method = false;

	(void)version;
	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q)
			return MHD_NO;
		*state = q;
		q->route = find_route(method, url, q, &other_method);
		if (!q->route) {
			problem(&r, other_method ? 405 : 404, "CTL_PROTO", "%.16s %.128s",
				method, url);
			return send_reply(c, &r);
		}
		if (admit(s, c, q, &q->refusal))
			return MHD_YES;
		q->refused = announced(c) <= thrown_away(q);
		return q->refused ? MHD_YES : send_reply(c, &q->refusal);
	}
	if (*data_len && q->refused) {
		q->len += *data_len;
		*data_len = 0;
		return q->len <= thrown_away(q) ? MHD_YES : MHD_NO;
	}
	if (q->refused)
		return send_reply(c, &q->refusal);
	if (*data_len) {
		take(q, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	run(s, c, q, &r);
	return send_reply(c, &r);
}

static void finished(void *ctx, struct MHD_Connection *c, void **state,
	enum MHD_RequestTerminationCode why)
{
	struct request *q = *state;

	(void)ctx;
	(void)c;
	(void)why;
	if (q)
		free(q->body);
	free(q);
	*state = NULL;
}

static bool is_any(const struct sockaddr_storage *sa)
{
	const struct sockaddr_in6 *v6 = (const void *)sa;

	return IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

struct MHD_Daemon *server_listen(struct server *s, const struct sockaddr_storage *sa)
{
	return MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION |
			MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_TLS |
			MHD_USE_ERROR_LOG |
			(sa->ss_family != AF_INET6 ? 0 :
				is_any(sa) ? MHD_USE_DUAL_STACK : MHD_USE_IPv6),
		0, NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR, sa,
		MHD_OPTION_HTTPS_MEM_KEY, s->id.key_pem, MHD_OPTION_HTTPS_MEM_CERT,
		s->id.cert_pem, MHD_OPTION_HTTPS_PRIORITIES,
		"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, finished, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, peers_notify, s, MHD_OPTION_END);
}
