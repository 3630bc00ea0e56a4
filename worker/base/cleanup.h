/* SPDX-License-Identifier: Apache-2.0 */
/* Release of memory and descriptors at the end of a scope, by the cleanup attribute. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_at(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close_at(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_at(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_at)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_at)))
#define CLEANUP_FCLOSE __attribute__((cleanup(cleanup_fclose_at)))

#endif
