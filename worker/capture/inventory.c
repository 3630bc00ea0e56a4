/* SPDX-License-Identifier: Apache-2.0 */
/* The inventory put together, and shown as JSON or to people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "capture/capture-internal.h"

static void indent(struct strbuf *b, unsigned depth)
{
	while (depth--)
		strbuf_str(b, "  ");
}

/* A terminal takes no orders from a file name. */
static void scalar(struct strbuf *b, yyjson_mut_val *val)
{
	const char *s = yyjson_mut_get_str(val);

	if (yyjson_mut_is_null(val))
		strbuf_str(b, "-");
	else if (yyjson_mut_is_bool(val))
		strbuf_str(b, yyjson_mut_get_bool(val) ? "yes" : "no");
	else if (!s)
		strbuf_fmt(b, "%llu", (unsigned long long)yyjson_mut_get_uint(val));
	for (; s && *s; s++)
		strbuf_add(b, (unsigned char)*s < ' ' || *s == 0x7f ? "?" : s, 1);
	strbuf_str(b, "\n");
}

static bool simple(yyjson_mut_val *val)
{
	return !yyjson_mut_is_obj(val) && !yyjson_mut_is_arr(val);
}

/* The depth is that of our own document. */
static void show(struct strbuf *b, yyjson_mut_val *val, unsigned depth)
{
	yyjson_mut_val *key, *member;
	size_t i, n;

	if (simple(val)) {
		scalar(b, val);
	} else if (yyjson_mut_is_arr(val)) {
		yyjson_mut_arr_foreach(val, i, n, member) {
			indent(b, depth);
			strbuf_str(b, simple(member) ? "- " : "-\n");
			show(b, member, depth + 1);
		}
	} else {
		yyjson_mut_obj_foreach(val, i, n, key, member) {
			indent(b, depth);
			strbuf_fmt(b, "%s:%s", yyjson_mut_get_str(key),
				simple(member) ? " " : "\n");
			show(b, member, depth + 1);
		}
	}
}

static int write_json(yyjson_mut_doc *doc, struct strbuf *ret, struct err *err)
{
	yyjson_write_err why;
	size_t len;
	CLEANUP_FREE char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_PRETTY, NULL,
		&len, &why);

	if (!text)
		return err_set(err, ERR_INTERNAL, "inventory: %s", why.msg);
	strbuf_add(ret, text, len);
	strbuf_str(ret, "\n");
	return 0;
}

int capture_inventory(const char *root, bool json, struct strbuf *ret, struct err *err)
{
	char base[512];
	struct capture_view v = { .root = base, .live = !strcmp(root, "/") };
	yyjson_mut_val *obj;
	int status = 0;
	size_t n;

	if ((size_t)snprintf(base, sizeof(base), "%s", root) >= sizeof(base))
		return err_set(err, ERR_USAGE, "--root: name too long");
	for (n = strlen(base); n && base[n - 1] == '/';)
		base[--n] = '\0';
	if (!capture_exists(&v, "/proc/sys/kernel/osrelease") ||
	    !capture_exists(&v, "/sys/class"))
		return err_set(err, ERR_USAGE,
			"%s: /proc and /sys of a machine are not there", root);
	v.doc = yyjson_mut_doc_new(NULL);
	obj = v.doc ? yyjson_mut_obj(v.doc) : NULL;
	if (!obj) {
		yyjson_mut_doc_free(v.doc);
		return err_set(err, ERR_NOMEM, "inventory: out of memory");
	}
	yyjson_mut_doc_set_root(v.doc, obj);
	yyjson_mut_obj_add_uint(v.doc, obj, "version", 1);
	yyjson_mut_obj_add_str(v.doc, obj, "build", "source-server " TW_VERSION);
	capture_machine(&v, obj);
	capture_network(&v, obj);
	capture_drives(&v, obj);
	capture_mounts(&v, obj);
	capture_services(&v, obj);
	if (json)
		status = write_json(v.doc, ret, err);
	else
		show(ret, obj, 0);
	yyjson_mut_doc_free(v.doc);
	if (!status && ret->failed)
		return err_set(err, ERR_NOMEM, "inventory: out of memory");
	return status;
}
