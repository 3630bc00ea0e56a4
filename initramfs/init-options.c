/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the kernel command line that PID 1 obeys.
 * Unknown ones belong to the worker. */
#include <stdlib.h>
#include <string.h>

#include "init-internal.h"

/* Accepts decimal and 0x numbers up to max; leaves *ret alone otherwise. */
static void number(unsigned *ret, const char *text, unsigned max)
{
	char *end;
	unsigned long v;

	if (*text < '0' || *text > '9')
		return;
	v = strtoul(text, &end, 0);
	if (*end == '\0' && v <= max)
		*ret = v;
}

static const char *value_of(const char *word, const char *key)
{
	size_t n = strlen(key);

	return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static void option(struct options *o, const char *word)
{
	const char *v;
	enum verb verb;

	if ((v = value_of(word, "tw.on_error"))) {
		verb = verb_parse(v);
		if (verb != VERB_NONE)
			o->on_error = verb;
	} else if ((v = value_of(word, "tw.debug"))) {
		o->debug = strcmp(v, "1") == 0;
	} else if ((v = value_of(word, "tw.grace"))) {
		number(&o->grace, v, 600);
	} else if ((v = value_of(word, "tw.debug_exit"))) {
		number(&o->debug_exit, v, 0xffff);
	}
}

void options_parse(struct options *ret, const char *cmdline)
{
	char word[128];

	*ret = (struct options){ .on_error = VERB_POWEROFF, .grace = 10 };
	while (*cmdline) {
		size_t n = strcspn(cmdline, " \n");

		if (n < sizeof(word)) {
			memcpy(word, cmdline, n);
			word[n] = '\0';
			option(ret, word);
		}
		cmdline += n;
		cmdline += strspn(cmdline, " \n");
	}
#ifndef TW_LAB
	ret->debug = false;
	ret->debug_exit = 0;
#endif
	/* A shell needs both the lab build and the word that asks for it. */
	if (ret->on_error == VERB_SHELL && !ret->debug)
		ret->on_error = VERB_POWEROFF;
}
