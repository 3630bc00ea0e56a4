/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM on x86-64 with AES-NI and CLMUL; see gcm.c. */
#ifndef GCM_H
#define GCM_H

#include <stddef.h>
#include <stdint.h>

#define GCM_NONCE 12
#define GCM_TAG 16

struct gcm_job {
	const uint8_t *key;
	size_t key_len;       /* 16 or 32 */
	const uint8_t *nonce; /* GCM_NONCE bytes */
	const uint8_t *ad;
	size_t ad_len;
	const uint8_t *in;    /* may be the same as out, but not overlap it otherwise */
	uint8_t *out;
	size_t len;
};

/* Whether the processor has what gcm_crypt needs. */
int gcm_usable(void);
/* Encrypts (or decrypts) len bytes and computes the tag over the ciphertext. When decrypting,
 * comparing the tag, and wiping the output when it differs, is the caller's. */
void gcm_crypt(const struct gcm_job *job, int encrypt, uint8_t tag[GCM_TAG]);

#endif
