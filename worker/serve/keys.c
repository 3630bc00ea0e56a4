/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that are accepted, and what each may do. A line of the file is "user:hex", and
 * behind blanks words that narrow it: drives=NAME,... and jobs=NAME,... A name that ends
 * with * stands for all that begin so. Without such a word there is no limit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/fdio.h"
#include "serve/serve-internal.h"

#define FILE_MAX (1u << 20)
#define BLANKS " \t"

/* Whether the list, if there is one, has the name. */
static bool list_has(const char *list, const char *name)
{
	size_t n;

	if (!list)
		return true;
	for (;; list += n + 1) {
		n = strcspn(list, ",");
		if (n && list[n - 1] == '*' ? !strncmp(list, name, n - 1)
				: n == strlen(name) && !memcmp(list, name, n))
			return true;
		if (!list[n])
			return false;
	}
}

bool serve_may_read(const struct serve_conn *c, unsigned drive)
{
	return !c->rights || list_has(c->rights->drives, c->serve->drives[drive].name);
}

bool serve_may_job(const struct serve_rights *rights, const char *job)
{
	return !rights || list_has(rights->jobs, job);
}

static int parse_word(char *word, struct serve_rights *ret, struct err *err)
{
	const char **list = !strncmp(word, "drives=", 7) ? &ret->drives
		: !strncmp(word, "jobs=", 5)		 ? &ret->jobs
							 : NULL;

	/* Not the word itself: it could be a part of a key. */
	if (!list)
		return err_set(err, ERR_USAGE,
			"behind the key only drives=... and jobs=... may stand");
	word = strchr(word, '=') + 1;
	if (*list || !*word || *word == ',' || strstr(word, ",,") ||
	    word[strlen(word) - 1] == ',')
		return err_set(err, ERR_USAGE,
			"drives= and jobs=: names with commas between expected, once each");
	*list = strdup(word);
	return *list ? 0 : err_set(err, ERR_NOMEM, "keys: out of memory");
}

static int parse_line(struct serve_keys *k, char *line, struct err *err)
{
	struct net_psk *psk = &k->psks[k->n];
	char *save, *word, *end;

	if (!line[0] || line[0] == '#')
		return 0;
	/* A user's name may have blanks. */
	end = strchr(line, ':');
	if (end)
		end += strcspn(end, BLANKS);
	if (end && *end)
		*end++ = '\0';
	if (k->n == SERVE_MAX_KEYS)
		return err_set(err, ERR_USAGE, "more than %d keys", SERVE_MAX_KEYS);
	if (net_psk_parse(line, psk, err) < 0)
		return -1;
	/* From here on it is wiped with the others. */
	k->rights[k->n] = (struct serve_rights){ .jobs = NULL };
	k->list[k->n++] = psk;
	for (unsigned i = 0; i + 1 < k->n; i++)
		if (!strcmp(k->psks[i].identity, psk->identity))
			return err_set(err, ERR_USAGE, "user %s has two keys",
				psk->identity);
	word = end ? strtok_r(end, BLANKS, &save) : NULL;
	for (; word; word = strtok_r(NULL, BLANKS, &save))
		if (parse_word(word, &k->rights[k->n - 1], err) < 0)
			return -1;
	return 0;
}

static int parse_file(struct serve_keys *k, char *text, struct err *err)
{
	char *line, *rest;
	unsigned number = 0;

	for (line = text; line; line = rest) {
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = '\0';
		line[strcspn(line, "\r")] = '\0';
		number++;
		if (parse_line(k, line, err) < 0)
			return err_wrap(err, "line %u", number);
	}
	return k->n ? 0 : err_set(err, ERR_USAGE, "no key in it");
}

int serve_keys_load(const char *path, struct serve_keys *ret, struct err *err)
{
	char *text;
	size_t len;
	int r;

	if (fdio_read_file(path, FILE_MAX, &text, &len, err) < 0)
		return -1;
	r = parse_file(ret, text, err);
	explicit_bzero(text, len);
	free(text);
	return r < 0 ? err_wrap(err, "%s", path) : 0;
}

void serve_keys_wipe(struct serve_keys *k)
{
	for (unsigned i = 0; i < k->n; i++) {
		net_psk_wipe(&k->psks[i]);
		free((char *)(uintptr_t)k->rights[i].drives);
		free((char *)(uintptr_t)k->rights[i].jobs);
	}
	*k = (struct serve_keys){ .n = 0 };
}
