/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CAPTURE_CAPTURE_INTERNAL_H
#define CAPTURE_CAPTURE_INTERNAL_H

#include <yyjson.h>

#include "capture/capture.h"

/* suspended.c */
#define CAPTURE_MAX_SUSPENDED 256
struct capture_suspended {
	unsigned n;
	char name[CAPTURE_MAX_SUSPENDED][16]; /* "dm-3" */
};
/* Devices of a volume group: group is "LVM-" and its UUID, as their UUIDs begin. */
void capture_suspended(const char *group, struct capture_suspended *ret);
/* Resumes those that are suspended, were not before, and still are a second later; lowest
 * first. before may be NULL. How many there were. */
unsigned capture_resume(const char *group, const struct capture_suspended *before,
	const char *why);

/* Whether the group has a snapshot as lvm.c names them. */
bool capture_has_snapshots(const char *group);

/* limits.c: a time as systemd writes it ("1min 30s"); 0 = none, or not understood. */
double capture_seconds(const char *text);

/* text.c: the tree that is described, and values for its description */
struct capture_view {
	const char *root;      /* without a slash at its end: "" in life */
	bool live;
	yyjson_mut_doc *doc;
};
/* A path below the root; false when it does not fit. */
bool capture_path(const struct capture_view *v, char *ret, size_t size, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* A file of at most 16 MiB below the root, for free(); NULL when it cannot be read. */
char *capture_file(const struct capture_view *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Its first line without blanks at both ends, "" when there is none. */
void capture_line(const struct capture_view *v, char *ret, size_t size, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
bool capture_exists(const struct capture_view *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Last component of what the link points to, "" when it is none. */
void capture_link(const struct capture_view *v, char *ret, size_t size, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* Names in a folder, sorted, without those that begin with a dot;
 * free with capture_names_free. */
struct capture_names {
	char **name;
	unsigned n;
};
void capture_list(const struct capture_view *v, struct capture_names *ret,
	const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void capture_names_free(struct capture_names *names);
#define CAPTURE_CLEANUP_NAMES __attribute__((cleanup(capture_names_free)))
/* A string of whatever bytes: what is not UTF-8 becomes U+FFFD. Empty or NULL: null. */
yyjson_mut_val *capture_text(const struct capture_view *v, const char *text);
void capture_put(const struct capture_view *v, yyjson_mut_val *obj, const char *key,
	const char *text);
/* The decimal number in a text; null when it is none. */
void capture_put_number(const struct capture_view *v, yyjson_mut_val *obj,
	const char *key, const char *text, uint64_t factor);
/* A value of KEY=value lines, also in quotes as in os-release(5);
 * "" when it is not there. */
void capture_assignment(const char *text, const char *key, char *ret, size_t size);
/* \040 and the like of mountinfo, undone in place. */
void capture_unescape(char *s);

/* machine.c, network.c, drives.c, mounts.c, services.c: parts of the object */
void capture_machine(const struct capture_view *v, yyjson_mut_val *obj);
void capture_network(const struct capture_view *v, yyjson_mut_val *obj);
void capture_drives(const struct capture_view *v, yyjson_mut_val *obj);
void capture_mounts(const struct capture_view *v, yyjson_mut_val *obj);
void capture_services(const struct capture_view *v, yyjson_mut_val *obj);

#endif
