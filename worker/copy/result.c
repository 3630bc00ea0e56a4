/* SPDX-License-Identifier: Apache-2.0 */
/* The result of a copy as JSON, as `worker copy --json` prints it. */
#include <inttypes.h>
#include <stdlib.h>
#include <yyjson.h>

#include "copy/copy.h"

static bool add_error(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct err *err)
{
	yyjson_mut_val *e = yyjson_mut_arr_add_obj(doc, list);

	return e && yyjson_mut_obj_add_str(doc, e, "code", err_name(err->code)) &&
		yyjson_mut_obj_add_strcpy(doc, e, "text", err->text) &&
		yyjson_mut_obj_add_str(doc, e, "hint", err_hint(err->code)) &&
		yyjson_mut_obj_add_bool(doc, e, "retryable", err_retryable(err->code));
}

static bool add_bad(yyjson_mut_doc *doc, yyjson_mut_val *root,
	const struct copy_result *r)
{
	yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "bad_ranges");
	bool ok = list;

	for (unsigned i = 0; ok && i < r->n_bad; i++) {
		yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);

		ok = o && yyjson_mut_obj_add_uint(doc, o, "offset", r->bad[i].off) &&
			yyjson_mut_obj_add_uint(doc, o, "length", r->bad[i].len);
	}
	return ok && yyjson_mut_obj_add_uint(doc, root, "bad_ranges_left_out",
		r->n_bad_left_out);
}

void copy_result_json(const struct copy_result *r, const struct err *err,
	struct strbuf *out)
{
	const struct {
		const char *name;
		uint64_t value;
	} numbers[] = {
		{ "bytes_total", r->bytes_total }, { "bytes_data", r->bytes_data },
		{ "bytes_zero", r->bytes_zero }, { "bytes_equal", r->bytes_equal },
		{ "bytes_wire", r->bytes_wire }, { "bytes_written", r->bytes_written },
		{ "bytes_bad", r->bad_bytes }, { "bytes_changed", r->changed_bytes },
		{ "retries", r->retries },
		{ "live_passes", r->live_passes },
	};
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc), *errors;
	char *text = NULL;
	bool ok = root;

	yyjson_mut_doc_set_root(doc, root);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		ok = ok && yyjson_mut_obj_add_uint(doc, root, numbers[i].name,
			numbers[i].value);
	ok = ok && yyjson_mut_obj_add_real(doc, root, "seconds", r->seconds) &&
		yyjson_mut_obj_add_real(doc, root, "final_seconds", r->final_seconds) &&
		yyjson_mut_obj_add_real(doc, root, "cpu_seconds", r->cpu_seconds) &&
		yyjson_mut_obj_add_str(doc, root, "root_hash", r->root_hash) &&
		yyjson_mut_obj_add_str(doc, root, "consistency", r->consistency) &&
		yyjson_mut_obj_add_str(doc, root, "source_state", r->source_state);
	if (ok && r->n_bad)
		ok = add_bad(doc, root, r);
	errors = ok ? yyjson_mut_obj_add_arr(doc, root, "errors") : NULL;
	if (errors && (!err || err->code == ERR_NONE || add_error(doc, errors, err)))
		text = yyjson_mut_write(doc, 0, NULL);
	if (text)
		strbuf_str(out, text);
	else
		out->failed = true;
	free(text);
	yyjson_mut_doc_free(doc);
}
