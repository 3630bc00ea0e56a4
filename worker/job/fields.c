/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a job document with a form of their own: MACs, addresses, pins,
 * rates, names. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/job-internal.h"

int job_read_name(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	const char *s = field;

	if (job_read_string(r, v, k, field) < 0)
		return -1;
	if (!isalnum((unsigned char)*s))
		return job_read_fail(r, "must begin with a letter or a digit");
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
			return job_read_fail(r,
				"may hold only letters, digits, '.', '_' and '-'");
	return 0;
}

int job_mac_parse(const char *s, char ret[18])
{
	char mac[18];
	int i;

	if (strlen(s) != 17)
		return -1;
	for (i = 0; i < 17; i++) {
		if (i % 3 == 2 ? s[i] != ':' &&
		    s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return -1;
		mac[i] = i % 3 == 2 ? ':' : (char)tolower((unsigned char)s[i]);
	}
	mac[17] = '\0';
	memcpy(ret, mac, sizeof(mac));
	return 0;
}

int job_read_mac(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	const struct job_key text = { .size = 32, .min = 1 };
	char s[32];

	(void)k;
	if (job_read_string(r, v, &text, s) < 0)
		return -1;
	if (job_mac_parse(s, field) < 0)
		return job_read_fail(r, "is not a MAC address such as 52:54:00:12:34:56");
	return 0;
}

static int read_address(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field, int family, unsigned bits)
{
	char s[64], *slash, *end;
	unsigned char raw[16];
	const char *what = family == AF_INET ? "IPv4" : "IPv6";

	if (job_read_string(r, v, &(struct job_key){ .size = sizeof(s), .min = 1 },
		s) < 0)
		return -1;
	slash = strchr(s, '/');
	if (bits && !slash)
		return job_read_fail(r, "needs a prefix length, as in %s",
			family == AF_INET ? "10.0.2.15/24" : "2001:db8::15/64");
	if (slash) {
		unsigned long n = strtoul(slash + 1, &end, 10);

		if (!bits || !isdigit((unsigned char)slash[1]) || *end || n < 1 ||
		    n > bits)
			return job_read_fail(r, bits ? "has a bad prefix length" :
				"must be an address without a prefix length");
		*slash = '\0';
	}
	if (inet_pton(family, s, raw) != 1)
		return job_read_fail(r, "is not an %s address", what);
	if (slash)
		*slash = '/';
	if (strlen(s) >= k->size)
		return job_read_fail(r, "is too long");
	memcpy(field, s, strlen(s) + 1);
	return 0;
}

int job_read_net4(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return read_address(r, v, k, field, AF_INET, 32);
}

int job_read_addr4(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return read_address(r, v, k, field, AF_INET, 0);
}

int job_read_net6(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return read_address(r, v, k, field, AF_INET6, 128);
}

int job_read_addr6(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	return read_address(r, v, k, field, AF_INET6, 0);
}

int job_read_addr(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	const char *s = yyjson_get_str(v);

	return read_address(r, v, k, field, s && strchr(s, ':') ? AF_INET6 : AF_INET, 0);
}

int job_pin_parse(const char *s, char ret[64])
{
	size_t i;

	/* 32 bytes in base64: 43 characters and one '='. */
	if (strncmp(s, "sha256//", 8) || strlen(s + 8) != 44 || s[8 + 43] != '=')
		return -1;
	for (i = 8; i < 8 + 43; i++)
		if (!isalnum((unsigned char)s[i]) && s[i] != '+' && s[i] != '/')
			return -1;
	memcpy(ret, s + 8, 45);
	return 0;
}

int job_rate_parse(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t n = 0;
	const char *unit;
	int i;

	if (!isdigit((unsigned char)*s))
		return -1;
	for (; isdigit((unsigned char)*s); s++) {
		if (n > (UINT64_MAX - 9) / 10)
			return -1;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	unit = *s ? strchr(units, toupper((unsigned char)*s)) : NULL;
	if (unit) {
		for (i = 0; i <= unit - units; i++) {
			if (n > UINT64_MAX / 1024)
				return -1;
			n *= 1024;
		}
		s++;
	}
	if (*s)
		return -1;
	*ret = n;
	return 0;
}

static int read_amount(struct job_reader *r, yyjson_val *v, void *field, const char *what)
{
	char s[32];

	if (yyjson_is_uint(v)) {
		*(uint64_t *)field = yyjson_get_uint(v);
		return 0;
	}
	if (job_read_string(r, v, &(struct job_key){ .size = sizeof(s), .min = 1 },
		s) < 0)
		return -1;
	if (job_rate_parse(s, field) < 0)
		return job_read_fail(r, "is not %s such as \"200M\"", what);
	return 0;
}

int job_read_rate(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	(void)k;
	return read_amount(r, v, field, "a rate in bytes a second");
}

int job_read_bytes(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	(void)k;
	return read_amount(r, v, field, "a number of bytes");
}

/* The 16 to 64 hexadecimal byte pairs after "user:", as net_psk_parse wants them. */
int job_read_psk(struct job_reader *r, yyjson_val *v, const struct job_key *k,
	void *field)
{
	const char *hex;
	size_t i, n;

	if (job_read_string(r, v, k, field) < 0)
		return -1;
	hex = strchr(field, ':');
	n = hex ? strlen(++hex) : 0;
	if (!hex || hex == (char *)field + 1 || n % 2 || n < 32 || n > 2 * NET_PSK_MAX)
		return job_read_fail(r,
			"is not of the form user:HEX with 16 to 64 bytes of key");
	for (i = 0; i < n; i++)
		if (!isxdigit((unsigned char)hex[i]))
			return job_read_fail(r, "holds a key that is not hexadecimal");
	return 0;
}
