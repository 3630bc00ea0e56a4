/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: single lines to stderr and, in the image, to the kernel log so that every
 * console and the ring buffer get them; the last lines also stay in memory for upload.
 * Text that came from a peer or a disk is printed with control characters replaced.
 * Thread-safe.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above this level are dropped. Default: LOG_LEVEL_INFO. */
void log_set_level(enum log_level level);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

void log_line(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The most recent complete lines (at most 64 KiB are kept). Writes at most size - 1 bytes
 * and a NUL to buf, oldest first; returns the bytes without the NUL. */
size_t log_recent(char *buf, size_t size);

#endif
