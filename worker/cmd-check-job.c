/* SPDX-License-Identifier: Apache-2.0 */
/* worker check-job: what is wrong with a job document, before anything is booted. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <yyjson.h>

#include "base/cleanup.h"
#include "base/fdio.h"
#include "commands.h"
#include "job/job.h"

static int print_json(const struct job *j, const struct err *err)
{
	yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
	yyjson_mut_val *root = yyjson_mut_obj(doc);
	char *text;

	yyjson_mut_doc_set_root(doc, root);
	yyjson_mut_obj_add_bool(doc, root, "valid", !!j);
	if (j) {
		yyjson_mut_obj_add_str(doc, root, "migration", j->migration);
		yyjson_mut_obj_add_str(doc, root, "mode", job_mode_name(j->mode));
		yyjson_mut_obj_add_int(doc, root, "drives", j->n_drives);
	} else {
		yyjson_mut_obj_add_str(doc, root, "code", err_name(err->code));
		yyjson_mut_obj_add_str(doc, root, "text", err->text);
		yyjson_mut_obj_add_str(doc, root, "hint", err_hint(err->code));
	}
	text = yyjson_mut_write(doc, 0, NULL);
	yyjson_mut_doc_free(doc);
	if (!text)
		return -1;
	puts(text);
	free(text);
	return 0;
}

int cmd_check_job(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	CLEANUP_FREE char *text = NULL;
	struct err err = ERR_INIT;
	struct job *j = NULL;
	bool json = false;
	size_t len = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'j')
			return err_exit_status(ERR_USAGE);
		json = true;
	}
	if (optind != argc - 1) {
		fputs("usage: worker check-job [--json] FILE\n", stderr);
		return err_exit_status(ERR_USAGE);
	}
	if (fdio_read_file(argv[optind], JOB_MAX_BYTES, &text, &len, &err) == 0 &&
		job_parse(text, len, &j, &err) == 0) {
		if (!json)
			printf("%s: a valid job: migration %s, mode %s, %d drive%s\n",
				argv[optind], j->migration, job_mode_name(j->mode),
				j->n_drives, j->n_drives == 1 ? "" : "s");
	} else if (!json) {
		fprintf(stderr, "%s: %s: %s\n(%s)\n", argv[optind], err_name(err.code),
			err.text, err_hint(err.code));
	}
	if (text)
		explicit_bzero(text, len);
	if (json && print_json(j, &err) < 0) {
		fputs("worker: no memory\n", stderr);
		err.code = ERR_NOMEM;
	}
	job_free(j);
	return err_exit_status(err.code);
}
