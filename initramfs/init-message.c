/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the worker and PID 1: text, one message a packet.
 *
 *   tick                        progress was made
 *   allow SECONDS               the next tick may take this long
 *   status TEXT                 one line for the screen
 *   written /dev/NAME           flush this disk before power-off
 *   unwatched                   a machine that hangs at its end shall not be reset
 *   settle                      the job is over, nothing is reported yet: flush, unmount
 *                               and take down what is left, and answer what stays
 *   finish poweroff|reboot|hold the job is over and reported; the worker exits next
 *
 * and back, after settle only: "left CODE TEXT" for each thing that stays, then
 * "settled".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "init-internal.h"

static const char *const verbs[] = {
	[VERB_NONE] = "none",
	[VERB_POWEROFF] = "poweroff",
	[VERB_REBOOT] = "reboot",
	[VERB_HOLD] = "hold",
	[VERB_SHELL] = "shell",
};

enum verb verb_parse(const char *word)
{
	for (int i = VERB_POWEROFF; i <= VERB_SHELL; i++)
		if (strcmp(word, verbs[i]) == 0)
			return i;
	return VERB_NONE;
}

const char *verb_name(enum verb verb)
{
	return verbs[verb];
}

void text_sanitise(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

/* The rest of the packet after "KEY ", or NULL. */
static const char *after(const char *text, const char *key)
{
	size_t n = strlen(key);

	return strncmp(text, key, n) == 0 && text[n] == ' ' ? text + n + 1 : NULL;
}

/* /dev/NAME, nothing that climbs out of /dev. */
static bool is_device(const char *path)
{
	return strncmp(path, "/dev/", 5) == 0 && path[5] != '\0' && !strstr(path, "..");
}

static bool parse_seconds(unsigned *ret, const char *text)
{
	size_t n = strspn(text, "0123456789");
	unsigned long v;

	if (n == 0 || n > 6 || text[n] != '\0')
		return false;
	v = strtoul(text, NULL, 10);
	*ret = v > ALLOW_MAX ? ALLOW_MAX : v;
	return v > 0;
}

bool message_parse(struct message *ret, const char *buf, size_t len)
{
	char text[1024];
	const char *arg;

	if (len >= sizeof(text) || memchr(buf, '\0', len))
		return false;
	memcpy(text, buf, len);
	text[len] = '\0';
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	*ret = (struct message){ .kind = MESSAGE_TICK };

	if (strcmp(text, "tick") == 0)
		return true;
	if (strcmp(text, "unwatched") == 0) {
		ret->kind = MESSAGE_UNWATCHED;
		return true;
	}
	if (strcmp(text, "settle") == 0) {
		ret->kind = MESSAGE_SETTLE;
		return true;
	}
	if ((arg = after(text, "allow"))) {
		ret->kind = MESSAGE_ALLOW;
		return parse_seconds(&ret->seconds, arg);
	}
	if ((arg = after(text, "finish"))) {
		ret->kind = MESSAGE_FINISH;
		ret->verb = verb_parse(arg);
		return ret->verb != VERB_NONE && ret->verb != VERB_SHELL;
	}
	if ((arg = after(text, "status")))
		ret->kind = MESSAGE_STATUS;
	else if ((arg = after(text, "written")) && is_device(arg) &&
	    strlen(arg) < sizeof(ret->text))
		ret->kind = MESSAGE_WRITTEN;
	else
		return false;
	/* A status line may be cut; a device name was checked to fit. */
	memcpy(ret->text, arg, strnlen(arg, sizeof(ret->text) - 1));
	text_sanitise(ret->text);
	return true;
}
