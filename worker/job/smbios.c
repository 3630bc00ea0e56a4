/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OEM strings of SMBIOS (DMTF DSP0134, section 7.12). A structure is type u8, length u8
 * (of the formatted part, at least 4), handle u16; then its strings, each ended by NUL,
 * the last one followed by another NUL; without strings just two NULs. Type 127 ends the
 * table.
 */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "job/job-internal.h"

enum { TYPE_OEM_STRINGS = 11, TYPE_END = 127 };

static const char prefix_job[] = "target-worker:job=";
static const char prefix_announce[] = "target-worker:announce=";

static void take_string(const char *s, size_t len, struct strbuf *joined,
	struct job_smbios *ret)
{
	size_t n = sizeof(prefix_job) - 1, m = sizeof(prefix_announce) - 1;

	/* The caller has seen the NUL behind it. */
	if (len >= n && !memcmp(s, prefix_job, n))
		strbuf_add(joined, s + n, len - n);
	else if (len >= m && !memcmp(s, prefix_announce, m) &&
		job_announce_parse(s + m, ret->announced) == 0)
		ret->announce_volume = true;
}

/* Walks the strings from p; returns the position behind them, len when the table is cut
 * off. A string without its NUL does not count. */
static size_t walk_strings(const char *t, size_t p, size_t len, bool take,
	struct strbuf *joined, struct job_smbios *ret)
{
	if (p + 1 < len && !t[p] && !t[p + 1])
		return p + 2;
	while (p < len && t[p]) {
		const char *end = memchr(t + p, 0, len - p);

		if (!end)
			return len;
		if (take)
			take_string(t + p, (size_t)(end - t) - p, joined, ret);
		p = (size_t)(end - t) + 1;
	}
	return p < len ? p + 1 : len;
}

/* The joined text is the document itself or its base64 form. */
static int decode(const struct strbuf *text, struct job_smbios *ret, struct err *err)
{
	size_t skip = strspn(text->s, " \t\r\n");

	if (text->len > JOB_MAX_BYTES)
		return err_set(err, ERR_CFG_INVALID, "SMBIOS: the job has %zu bytes",
			text->len);
	ret->job = malloc(text->len + 4);
	if (!ret->job)
		return err_set(err, ERR_NOMEM, "SMBIOS: no memory for the job");
	if (text->s[skip] == '{') {
		memcpy(ret->job, text->s, text->len);
		ret->job_len = text->len;
	} else if (job_base64_decode(text->s, text->len, ret->job, &ret->job_len) < 0) {
		job_smbios_free(ret);
		return err_set(err, ERR_CFG_INVALID,
			"SMBIOS: the job is neither a JSON object nor base64");
	}
	return 0;
}

int job_smbios_parse(const void *table, size_t len, struct job_smbios *ret,
	struct err *err)
{
	const char *t = table;
	struct strbuf joined = STRBUF_INIT;
	size_t p = 0;
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	while (len - p >= 4) {
		unsigned type = (unsigned char)t[p], formatted = (unsigned char)t[p + 1];

		if (type == TYPE_END || formatted < 4 || formatted > len - p)
			break;
		p = walk_strings(t, p + formatted, len, type == TYPE_OEM_STRINGS,
			&joined, ret);
	}
	if (joined.failed)
		rc = err_set(err, ERR_NOMEM, "SMBIOS: no memory for the job");
	else if (joined.len)
		rc = decode(&joined, ret, err);
	if (joined.s)
		explicit_bzero(joined.s, joined.len);
	strbuf_free(&joined);
	return rc;
}

void job_smbios_free(struct job_smbios *s)
{
	if (s->job)
		explicit_bzero(s->job, s->job_len);
	free(s->job);
	s->job = NULL;
}
