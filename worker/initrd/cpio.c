/* SPDX-License-Identifier: Apache-2.0 */
/* cpio, "newc" form: a header of 13 fields of 8 hex digits behind a magic of 6, the name,
 * the data; name and data end at multiples of four bytes. */
#include "initrd/initrd-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define HEADER 110
#define TRAILER "TRAILER!!!"
enum { F_INO, F_MODE, F_UID, F_GID, F_NLINK, F_MTIME, F_SIZE, F_MAJOR, F_MINOR, F_RMAJOR,
	F_RMINOR, F_NAMESIZE, F_CHECK, N_FIELDS };

struct archive {
	struct initrd_reader *r;
	struct stream s;
	struct initrd_info *info;
	uint64_t off; /* within the unpacked stream, for alignment */
	char name[INITRD_NAME_MAX + 1];
	uint8_t chunk[65536];
};

const char *initrd_status_text(enum initrd_status s)
{
	static const char *const texts[] = {
		[INITRD_OK] = "complete",
		[INITRD_STOPPED] = "stopped",
		[INITRD_UNSUPPORTED] = "compression not supported",
		[INITRD_CORRUPT] = "damaged",
		[INITRD_TOO_LARGE] = "larger than any real image",
		[INITRD_NO_MEMORY] = "out of memory",
		[INITRD_READ] = "read error",
	};

	return texts[s];
}

static size_t get(struct archive *a, void *buf, size_t len)
{
	size_t done = 0, n;

	while (done < len &&
	    (n = initrd_stream_read(&a->s, (uint8_t *)buf + done, len - done)))
		done += n;
	a->off += done;
	a->info->unpacked += done;
	return done;
}

static enum initrd_status short_read(const struct archive *a)
{
	return a->s.status ? a->s.status : INITRD_CORRUPT;
}

static bool parse_hex(const uint8_t *p, uint32_t *ret)
{
	uint32_t v = 0;

	for (int i = 0; i < 8; i++) {
		uint8_t c = p[i], d;

		if (c >= '0' && c <= '9')
			d = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			d = (uint8_t)((c | 0x20) - 'a' + 10);
		else
			return false;
		v = v << 4 | d;
	}
	*ret = v;
	return true;
}

/* Reads and forgets up to the next multiple of four. */
static bool align(struct archive *a)
{
	uint8_t pad[4];
	size_t n = (size_t)(-a->off & 3);

	return get(a, pad, n) == n;
}

static enum initrd_status read_data(struct archive *a, const struct initrd_entry *e,
	bool want)
{
	uint64_t left = e->size;

	while (left) {
		size_t n = left < sizeof(a->chunk) ? (size_t)left : sizeof(a->chunk);

		n = get(a, a->chunk, n);
		if (!n)
			return short_read(a);
		if (want && a->r->data && a->r->data(a->r->ctx, e, a->chunk, n))
			return INITRD_STOPPED;
		left -= n;
	}
	/* Some writers leave out the padding behind the last data of all. */
	align(a);
	return INITRD_OK;
}

/* One entry whose first 6 bytes were read. *ret_last: it was the trailer. */
static enum initrd_status read_entry(struct archive *a, const uint8_t *magic,
	bool *ret_last)
{
	uint8_t header[HEADER];
	uint32_t f[N_FIELDS];
	struct initrd_entry e;

	if (memcmp(magic, "070701", 6) && memcmp(magic, "070702", 6))
		return INITRD_CORRUPT;
	if (get(a, header + 6, HEADER - 6) != HEADER - 6)
		return short_read(a);
	for (int i = 0; i < N_FIELDS; i++)
		if (!parse_hex(header + 6 + 8 * i, &f[i]))
			return INITRD_CORRUPT;
	if (!f[F_NAMESIZE])
		return INITRD_CORRUPT;
	if (f[F_NAMESIZE] > INITRD_NAME_MAX || a->info->unpacked > INITRD_MAX_BYTES)
		return INITRD_TOO_LARGE;
	if (get(a, a->name, f[F_NAMESIZE]) != f[F_NAMESIZE] || !align(a))
		return short_read(a);
	a->name[f[F_NAMESIZE]] = '\0';
	*ret_last = !strcmp(a->name, TRAILER);
	if (*ret_last)
		return INITRD_OK;
	e = (struct initrd_entry){ a->name, f[F_MODE], f[F_SIZE] };
	a->info->entries++;
	a->r->want_data = false;
	if (a->r->entry(a->r->ctx, &e))
		return INITRD_STOPPED;
	return read_data(a, &e, a->r->want_data);
}

/* Archives of one stream, until its end or, in a plain stream, one trailer. */
static enum initrd_status read_archives(struct archive *a)
{
	for (;;) {
		uint8_t magic[6];
		bool last = false;
		size_t n;
		enum initrd_status status;

		/* zeroes between archives */
		do {
			n = get(a, magic, 1);
		} while (n && !magic[0] && a->info->unpacked <= INITRD_MAX_BYTES);
		if (!n)
			return a->s.status;
		if (get(a, magic + 1, 5) != 5)
			return short_read(a);
		do {
			status = read_entry(a, magic, &last);
			if (status || last)
				break;
			n = get(a, magic, 6);
			if (!n && !a->s.status)
				return INITRD_OK; /* an archive without a trailer */
		} while (n == 6);
		if (!status && !last)
			return short_read(a);
		if (status)
			return status;
		if (!a->s.decoder)
			return INITRD_OK;
	}
}

static void add_format(struct initrd_info *info, const char *name)
{
	size_t len = strlen(info->format);

	if (len && !strcmp(info->format, "cpio") && !strcmp(name, "cpio"))
		return;
	if (len && !strcmp(info->format, "cpio"))
		len = (size_t)snprintf(info->format, sizeof(info->format), "early cpio");
	if (len < sizeof(info->format))
		snprintf(info->format + len, sizeof(info->format) - len, "%s%s",
			len ? " + " : "", name);
}

static enum initrd_status walk(struct initrd_reader *r, struct input *in,
	struct initrd_info *info)
{
	CLEANUP_FREE struct archive *a = calloc(1, sizeof(*a));
	enum initrd_status status;

	if (!a)
		return INITRD_NO_MEMORY;
	a->r = r;
	a->info = info;
	for (;;) {
		const struct decoder *d;

		while (initrd_input_fill(in, 1) && !in->buf[in->at]) {
			in->at++;
			in->taken++;
		}
		if (in->failed)
			return INITRD_READ;
		if (!initrd_input_fill(in, 1))
			return info->entries || in->taken ? INITRD_OK : INITRD_CORRUPT;
		d = initrd_decoder_find(in);
		add_format(info, d ? initrd_decoder_name(d) : "cpio");
		if (d && !initrd_decoder_built_in(d))
			return INITRD_UNSUPPORTED;
		status = initrd_stream_open(&a->s, in, d);
		if (status)
			return status;
		a->off = 0;
		status = read_archives(a);
		if (!status && d) { /* to the end: it carries the check sum */
			while (initrd_stream_read(&a->s, a->chunk, sizeof(a->chunk)))
				;
			status = a->s.status;
		}
		initrd_stream_close(&a->s);
		if (status)
			return status;
	}
}

enum initrd_status initrd_walk(struct initrd_reader *r, struct initrd_info *info)
{
	struct initrd_info own;
	CLEANUP_FREE struct input *in = calloc(1, sizeof(*in));
	enum initrd_status status;

	if (!info)
		info = &own;
	memset(info, 0, sizeof(*info));
	if (!in)
		return INITRD_NO_MEMORY;
	in->read = r->read;
	in->ctx = r->ctx;
	status = walk(r, in, info);
	info->packed = in->taken;
	return status;
}

static void pad(struct strbuf *out)
{
	strbuf_add(out, "\0\0\0", (size_t)(-out->len & 3));
}

void initrd_add(struct strbuf *out, const char *name, uint32_t mode, const void *data,
	size_t len)
{
	size_t name_len = strlen(name) + 1;

	/* Each entry has an inode number of its own,
	 * or two files would be taken for links. */
	strbuf_fmt(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		(unsigned)(out->len / 4 + 1), mode, 0u, 0u, 1u, 0u, (unsigned)len, 0u, 0u,
		0u, 0u, (unsigned)name_len, 0u);
	strbuf_add(out, name, name_len);
	pad(out);
	strbuf_add(out, data, len);
	pad(out);
}

void initrd_end(struct strbuf *out)
{
	initrd_add(out, TRAILER, 0, "", 0);
}
