/* SPDX-License-Identifier: Apache-2.0 */
/* A process that holds keys keeps its memory to itself. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

/* No core dump, here and in what is started from here; nobody else on the machine may
 * look into this process's memory, environment or files without CAP_SYS_PTRACE. */
void secret_guard(void);
/* Nothing of it is swapped out, now and later, where this user may say so without a
 * limit; elsewhere nothing happens. The image's kernel has no swap. */
void secret_lock(void);

#endif
