/* SPDX-License-Identifier: Apache-2.0 */
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fdio.h"

#define FILE_MAX (1u << 20)

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One "user:hex" of len characters. NULL, or what is wrong with it;
 * never the text itself. */
static const char *parse(const char *text, size_t len, struct net_psk *ret)
{
	const char *colon = memchr(text, ':', len);
	size_t user, hex;

	if (!colon)
		return "no colon between user and key";
	user = (size_t)(colon - text);
	hex = len - user - 1;
	if (!user || user >= sizeof(ret->identity))
		return "user of 1 to 127 characters expected";
	if (hex % 2 || hex < 32 || hex > 2 * NET_PSK_MAX)
		return "key of 16 to 64 bytes in hexadecimal expected";
	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < hex; i += 2) {
		int hi = hex_digit(colon[1 + i]), lo = hex_digit(colon[2 + i]);

		if (hi < 0 || lo < 0) {
			net_psk_wipe(ret);
			return "key is not hexadecimal";
		}
		ret->key[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	memcpy(ret->identity, text, user);
	ret->key_len = hex / 2;
	return NULL;
}

int net_psk_parse(const char *text, struct net_psk *ret, struct err *err)
{
	struct net_psk psk;
	const char *wrong = parse(text, strcspn(text, "\r\n"), &psk);

	if (wrong)
		return err_set(err, ERR_CFG_INVALID, "pre-shared key: %s", wrong);
	*ret = psk;
	net_psk_wipe(&psk);
	return 0;
}

int net_psk_load(const char *path, const char *identity, struct net_psk *ret,
	struct err *err)
{
	char *text;
	size_t len;
	struct net_psk psk = { .key_len = 0 };
	const char *wrong = NULL;
	bool found = false;

	if (fdio_read_file(path, FILE_MAX, &text, &len, err) < 0)
		return -1;
	for (char *line = text; *line && !found && !wrong;) {
		size_t n = strcspn(line, "\r\n"), user = strcspn(line, ":\r\n");

		/* A server's words about rights stand behind a blank. */
		if (n && line[0] != '#') {
			wrong = parse(line, user + strcspn(line + user, " \t\r\n"), &psk);
			found = !wrong && (!identity || !strcmp(identity, psk.identity));
		}
		line += n + strspn(line + n, "\r\n");
	}
	explicit_bzero(text, len);
	free(text);
	if (found)
		*ret = psk;
	net_psk_wipe(&psk);
	if (wrong)
		return err_set(err, ERR_CFG_INVALID, "%s: %s", path, wrong);
	if (!found)
		return err_set(err, ERR_CFG_INVALID, "%s: no key for %s", path,
			identity ? identity : "any user");
	return 0;
}

void net_psk_wipe(struct net_psk *psk)
{
	explicit_bzero(psk, sizeof(*psk));
}
