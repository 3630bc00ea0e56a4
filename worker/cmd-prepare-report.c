/* SPDX-License-Identifier: Apache-2.0 */
/* The report of worker inspect and worker prepare, for people. */
#include <stdio.h>
#include <yyjson.h>

#include "commands.h"

static const char *str(yyjson_val *o, const char *key)
{
	const char *s = yyjson_get_str(yyjson_obj_get(o, key));

	return s ? s : "";
}

static void print_list(yyjson_val *root, const char *key, const char *title)
{
	yyjson_val *list = yyjson_obj_get(root, key), *v;
	size_t i, max;

	if (yyjson_arr_size(list))
		printf("%s\n", title);
	yyjson_arr_foreach(list, i, max, v) {
		if (yyjson_is_str(v))
			printf("  %s\n", yyjson_get_str(v));
		else if (yyjson_obj_get(v, "change"))
			printf("  %-8s %s\n", str(v, "change"), str(v, "path"));
		else
			printf("  %-12s %-9s %s%s%s\n", str(v, "step"), str(v, "kind"),
				*str(v, "path") ? str(v, "path") : str(v, "from"),
				*str(v, "path") || *str(v, "from") ? ": " :
					"", str(v, "why"));
	}
}

static void print_facts(yyjson_val *root)
{
	yyjson_val *f = yyjson_obj_get(root, "facts"), *os = yyjson_obj_get(f, "os"), *v;
	yyjson_val *loader = yyjson_obj_get(f, "loader");
	size_t i, max;

	if (!*str(os, "name") && !*str(os, "family"))
		return; /* no system was found */
	printf("system    %s (%s), %s, %s, %s\n", str(os, "name"), str(os, "family"),
		str(f, "arch"), str(f, "firmware"), str(f, "init"));
	printf("loader    %s %s\n", str(loader, "kind"), str(loader, "config"));
	yyjson_arr_foreach(yyjson_obj_get(f, "kernels"), i, max, v)
		printf("kernel    %s, %s (%s, %llu KiB)\n", str(v, "version"),
			str(v, "initrd"), str(v, "format"),
			(unsigned long long)yyjson_get_uint(yyjson_obj_get(v,
				"initrd_bytes")) >> 10);
	yyjson_arr_foreach(yyjson_obj_get(f, "mounts"), i, max, v)
		printf("mount     %s on %s (%s), %llu MiB free\n", str(v, "device"),
			str(v, "point"), str(v, "type"),
			(unsigned long long)yyjson_get_uint(yyjson_obj_get(v,
				"free_bytes")) >> 20);
	printf("network   %s:", str(f, "network_stacks"));
	yyjson_arr_foreach(yyjson_obj_get(f, "interfaces"), i, max, v)
		printf(" %s", str(v, "name"));
	printf("\ntools     %s\n", *str(f, "tools") ? str(f, "tools") : "none");
}

void cmd_print_report(const char *report, size_t len, bool json)
{
	yyjson_doc *doc;
	yyjson_val *root;

	if (json) {
		puts(report);
		return;
	}
	doc = yyjson_read(report, len, 0);
	root = yyjson_doc_get_root(doc);
	print_facts(root);
	print_list(root, "plan", "plan");
	print_list(root, "changes", "changes");
	print_list(root, "edited", "edited since");
	print_list(root, "skipped", "skipped");
	print_list(root, "warnings", "warnings");
	print_list(root, "because", "because");
	printf("verdict   %s\n", str(root, "verdict"));
	yyjson_doc_free(doc);
}
