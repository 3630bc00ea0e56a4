/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS by libcurl over mbedTLS. The key of the server must be pinned: libcurl compares
 * it after the handshake has proved that the server owns it and before the first byte of
 * a request leaves. That replaces the certificate's chain, name and dates, which are not
 * looked at: a new machine's clock may be years off, and controllers have self-made
 * certificates.
 */
#include "control/control-internal.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"

#define CONNECT_TIMEOUT_S 15
#define RETRY_AFTER_MAX 86400

struct control_http {
	CURL *easy;
	CURLM *multi; /* because its poll can be woken from another thread */
	char *url, *pins;
	char why[CURL_ERROR_SIZE];
	struct strbuf *body; /* of the answer that is coming in */
	bool too_large;
	int retry_after_s; /* of that answer, -1 = not given */
	const _Atomic bool *cancel;
	_Atomic bool stopped;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void start_curl(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct control_http *h = ctx;

	(void)size; /* always 1 */
	if (n > CONTROL_MAX_REPLY - h->body->len) {
		h->too_large = true;
		return 0;
	}
	strbuf_add(h->body, data, n);
	return h->body->failed ? 0 : n;
}

/* Curl reads it as a date first, and this build of it takes every text for one of 1970:
 * so seconds are read here. A date is none of the contract's. */
static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	static const char name[] = "retry-after:";
	struct control_http *h = ctx;
	size_t at = sizeof(name) - 1, digits;
	unsigned long s = 0; /* 0 is as good as not given */

	(void)size; /* always 1 */
	if (n < at || strncasecmp(line, name, at))
		return n;
	while (at < n && (line[at] == ' ' || line[at] == '\t'))
		at++;
	for (digits = 0; at < n && line[at] >= '0' && line[at] <= '9'; at++, digits++)
		s = s < RETRY_AFTER_MAX ? s * 10 + (unsigned long)(line[at] - '0') : s;
	if (s && digits && (at == n || line[at] == '\r' || line[at] == '\n'))
		h->retry_after_s = s < RETRY_AFTER_MAX ? (int)s : RETRY_AFTER_MAX;
	return n;
}

static char *join_pins(const char *const *pins)
{
	struct strbuf b = STRBUF_INIT;

	for (; *pins; pins++)
		strbuf_fmt(&b, "%ssha256//%s", b.len ? ";" : "",
			!strncmp(*pins, "sha256//", 8) ? *pins + 8 : *pins);
	if (!b.failed)
		return b.s;
	strbuf_free(&b);
	return NULL;
}

static CURLcode set_up(struct control_http *h)
{
	CURLcode rc = CURLE_OK;

#define SET(option, value) \
	do { \
		if (rc == CURLE_OK) \
			rc = curl_easy_setopt(h->easy, option, value); \
	} while (0)
	SET(CURLOPT_ERRORBUFFER, h->why);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_PINNEDPUBLICKEY, h->pins);
	SET(CURLOPT_SSL_VERIFYPEER, 0L);
	SET(CURLOPT_SSL_VERIFYHOST, 0L);
	/* A resumed session would show no certificate to compare with the pins. */
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, h);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, h);
#undef SET
	return rc;
}

int control_http_open(const struct control_http_config *cfg, struct control_http **ret,
	struct err *err)
{
	struct control_http *h;

	pthread_once(&curl_once, start_curl);
	h = curl_ready == CURLE_OK ? calloc(1, sizeof(*h)) : NULL;
	if (!h)
		return err_set(err, ERR_NOMEM, "HTTPS client");
	h->cancel = cfg->cancel;
	h->url = strdup(cfg->url);
	h->pins = join_pins(cfg->pins);
	h->easy = curl_easy_init();
	h->multi = curl_multi_init();
	/* Without a pin libcurl would accept every key. */
	if (!h->url || !h->pins || !*h->pins || !h->easy || !h->multi ||
	    set_up(h) != CURLE_OK) {
		control_http_close(h);
		return err_set(err, ERR_NOMEM, "HTTPS client");
	}
	*ret = h;
	return 0;
}

void control_http_close(struct control_http *h)
{
	if (!h)
		return;
	curl_multi_cleanup(h->multi);
	curl_easy_cleanup(h->easy);
	free(h->pins);
	free(h->url);
	free(h);
}

void control_http_stop(struct control_http *h)
{
	h->stopped = true;
	curl_multi_wakeup(h->multi);
}

static bool is_stopped(const struct control_http *h)
{
	return h->stopped || (h->cancel && *h->cancel);
}

/* Waits for the transfer without holding control_http_stop up. */
static CURLcode transfer(struct control_http *h)
{
	CURLcode rc = CURLE_ABORTED_BY_CALLBACK;
	int running = 1, left;
	CURLMsg *m;

	if (curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (running && !is_stopped(h)) {
		if (curl_multi_perform(h->multi, &running) != CURLM_OK)
			break;
		if (running && curl_multi_poll(h->multi, NULL, 0, 1000, NULL) != CURLM_OK)
			break;
	}
	while ((m = curl_multi_info_read(h->multi, &left)))
		if (m->msg == CURLMSG_DONE)
			rc = m->data.result;
	curl_multi_remove_handle(h->multi, h->easy);
	return rc;
}

static CURLcode prepare(struct control_http *h, const struct control_request *q,
	struct curl_slist **headers, struct strbuf *text)
{
	struct curl_slist *list = NULL, *more;
	const char *fixed[] =
		{ "Expect:", "Accept: application/json, application/problem+json" };
	CURLcode rc;

	for (size_t i = 0; i < 4; i++) {
		strbuf_reset(text);
		if (i < 2)
			strbuf_str(text, fixed[i]);
		else if (i == 2 && q->content_type)
			strbuf_fmt(text, "Content-Type: %s", q->content_type);
		else if (i == 3 && q->bearer)
			strbuf_fmt(text, "Authorization: Bearer %s", q->bearer);
		else
			continue;
		more = text->failed ? NULL : curl_slist_append(list, text->s);
		if (!more) {
			curl_slist_free_all(list);
			return CURLE_OUT_OF_MEMORY;
		}
		list = more;
	}
	*headers = list;
	strbuf_reset(text);
	strbuf_fmt(text, "%s%s", h->url, q->path);
	if (text->failed)
		return CURLE_OUT_OF_MEMORY;
	rc = curl_easy_setopt(h->easy, CURLOPT_URL, text->s);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, list);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(h->easy, CURLOPT_TIMEOUT, (long)q->timeout_s);
	/* libcurl sends whatever method is asked for with the
	 * machinery of GET or POST. */
	if (rc == CURLE_OK)
		rc = q->content_type ? curl_easy_setopt(h->easy, CURLOPT_POST, 1L)
				     : curl_easy_setopt(h->easy, CURLOPT_HTTPGET, 1L);
	if (rc == CURLE_OK && q->content_type)
		rc = curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)q->len);
	if (rc == CURLE_OK && q->content_type)
		rc = curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, q->body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(h->easy, CURLOPT_CUSTOMREQUEST, q->method);
	return rc;
}

static int explain(struct control_http *h, const struct control_request *q, CURLcode rc,
	struct err *err)
{
	const char *why = h->why[0] ? h->why : curl_easy_strerror(rc);

	if (is_stopped(h))
		return err_set(err, ERR_CANCELLED, "controller %s: given up on request",
			h->url);
	if (h->too_large)
		return err_set(err, ERR_CTL_PROTO,
			"controller %s: answer of more than %u bytes to %s", h->url,
			CONTROL_MAX_REPLY, q->path);
	if (rc == CURLE_SSL_PINNEDPUBKEYNOTMATCH)
		return err_set(err, ERR_CTL_PIN,
			"controller %s: its key has none of the pins", h->url);
	if (rc == CURLE_OUT_OF_MEMORY)
		return err_set(err, ERR_NOMEM, "controller %s: %s", h->url, why);
	return err_set(err, ERR_CTL_UNREACHABLE, "controller %s: %s", h->url, why);
}

int control_http_run(struct control_http *h, const struct control_request *q,
	struct control_response *ret, struct err *err)
{
	struct curl_slist *headers = NULL;
	struct strbuf text = STRBUF_INIT;
	CURLcode rc;

	strbuf_reset(&ret->body);
	ret->status = 0;
	ret->retry_after_s = -1;
	h->body = &ret->body;
	h->too_large = false;
	h->retry_after_s = -1;
	h->why[0] = '\0';
	rc = prepare(h, q, &headers, &text);
	if (rc == CURLE_OK)
		rc = transfer(h);
	curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	strbuf_free(&text);
	if (rc != CURLE_OK)
		return explain(h, q, rc, err);
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &ret->status);
	ret->retry_after_s = h->retry_after_s;
	log_debug("controller: %s %s: %ld", q->method, q->path, ret->status);
	return 0;
}
