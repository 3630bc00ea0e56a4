/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of words between commas, as options of mounts are. */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include <stdbool.h>

bool words_has(const char *list, const char *word);

#endif
