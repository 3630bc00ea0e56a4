/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SPAWN_INTERNAL_H
#define BASE_SPAWN_INTERNAL_H

#include <sys/types.h>

#include "base/spawn.h"

/* spawn-child.c: starts the program. A byte comes out of failed when it could not be
 * made ready. -1 and errno. */
pid_t spawn_start(const struct spawn *sp, int out, int failed);

/* spawn-count.c: whether more threads than that live in the PID namespace of a
 * process. */
bool spawn_too_many(pid_t pid, unsigned max);

#endif
