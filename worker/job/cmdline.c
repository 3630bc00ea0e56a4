/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel command line. Everybody on the machine and the PXE network can read it, so
 * that it may only point: tw.job=URL, tw.pin=PIN (up to 4), tw.announce=volume[:SERIAL],
 * tw.volume=SUM. Other tw. words belong to init.
 */
#include <stdio.h>
#include <string.h>

#include "job/job-internal.h"

int job_announce_parse(const char *s, char ret_serial[64])
{
	if (strncmp(s, "volume", 6) || (s[6] && s[6] != ':') || strlen(s) > 6 + 63)
		return -1;
	strcpy(ret_serial, s[6] ? s + 7 : "");
	return 0;
}

static int take(const char *word, size_t n, struct job_cmdline *ret, struct err *err)
{
	char text[600];

	if (n >= sizeof(text))
		return err_set(err, ERR_CFG_INVALID,
			"kernel command line: a tw. word is too long");
	memcpy(text, word, n);
	text[n] = '\0';
	if (!strncmp(text, "tw.job=", 7)) {
		if (*ret->url)
			return err_set(err, ERR_CFG_AMBIGUOUS,
				"kernel command line: two tw.job=");
		if (job_url_check(text + 7, "https") < 0 ||
		    strlen(text + 7) >= sizeof(ret->url))
			return err_set(err, ERR_CFG_INVALID,
				"kernel command line: tw.job= must be https://host[:port]/path");
		strcpy(ret->url, text + 7);
	} else if (!strncmp(text, "tw.pin=", 7)) {
		if (ret->n_pins == JOB_MAX_PINS)
			return err_set(err, ERR_CFG_INVALID,
				"kernel command line: more than %d tw.pin=",
				JOB_MAX_PINS);
		if (job_pin_parse(text + 7, ret->pins[ret->n_pins]) < 0)
			return err_set(err, ERR_CFG_INVALID,
				"kernel command line: tw.pin= is not "
				"sha256//, then 32 bytes in base64");
		ret->n_pins++;
	} else if (!strncmp(text, "tw.announce=", 12)) {
		if (job_announce_parse(text + 12, ret->announced) == 0)
			ret->announce_volume = true;
	} else if (!strncmp(text, "tw.volume=", 10)) {
		if (strlen(text + 10) != 64 ||
			text[10 + strspn(text + 10, "0123456789abcdef")])
			return err_set(err, ERR_CFG_INVALID,
				"kernel command line: tw.volume= is not 64 hexadecimal digits");
		strcpy(ret->volume, text + 10);
	}
	return 0;
}

int job_cmdline_parse(const char *text, struct job_cmdline *ret, struct err *err)
{
	memset(ret, 0, sizeof(*ret));
	for (;;) {
		size_t n;

		text += strspn(text, " \t\n");
		n = strcspn(text, " \t\n");
		if (!n)
			break;
		if (!strncmp(text, "tw.", 3) && take(text, n, ret, err) < 0)
			return -1;
		text += n;
	}
	if (*ret->url && !ret->n_pins)
		return err_set(err, ERR_CFG_INVALID,
			"kernel command line: tw.job= needs a tw.pin= beside it");
	return 0;
}
