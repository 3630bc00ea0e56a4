/* SPDX-License-Identifier: Apache-2.0 */
/* What the filter of system calls answers: the kernel's interpreter, as far as the filter
 * needs it (Documentation/networking/filter.rst). */
#ifndef TESTS_UNIT_GUEST_CONTAIN_FILTER_H
#define TESTS_UNIT_GUEST_CONTAIN_FILTER_H

#include <linux/audit.h>
#include <linux/seccomp.h>

#include "guest/contain-internal.h"

static struct sock_filter filter[CONTAIN_FILTER_MAX];
static size_t filter_len;

/* The errno of a call, 0 = it is let through, -1 = the program is wrong. */
static int answer(uint32_t arch, long nr, const uint64_t args[6])
{
	struct seccomp_data data = { .nr = (int)nr, .arch = arch };
	uint32_t a = 0;

	memcpy(data.args, args, sizeof(data.args));
	for (size_t pc = 0; pc < filter_len; pc++) {
		const struct sock_filter *f = &filter[pc];
		bool yes;

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k % 4 || f->k > sizeof(data) - 4)
				return -1;
			memcpy(&a, (const char *)&data + f->k, 4);
			continue;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K: yes = a == f->k; break;
		case BPF_JMP | BPF_JGT | BPF_K: yes = a > f->k; break;
		case BPF_JMP | BPF_JGE | BPF_K: yes = a >= f->k; break;
		case BPF_JMP | BPF_JSET | BPF_K: yes = a & f->k; break;
		case BPF_RET | BPF_K:
			if (f->k == SECCOMP_RET_ALLOW)
				return 0;
			return (f->k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO ?
				(int)(f->k & SECCOMP_RET_DATA) : -1;
		default:
			return -1;
		}
		pc += yes ? f->jt : f->jf;
	}
	return -1; /* over the end */
}

#endif
