/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block-sum FILE...: one number for all bytes of disks, by which a test sees that nothing
 * was written. Read past the page cache: the whole disk's is not coherent with its
 * partitions'. Not against forgers, but as fast as the disk under emulation, where
 * sha256sum is not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BUF_BYTES (1 << 20)

/* Every step can be undone, so that no two contents of one length
 * that differ in one word meet. */
static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 32;
}

int main(int argc, char **argv)
{
	uint64_t *buf, sum = 0;
	ssize_t n;

	if (posix_memalign((void **)&buf, 4096, BUF_BYTES))
		return 1;
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_DIRECT);

		if (fd < 0) {
			perror(argv[i]);
			return 1;
		}
		while ((n = read(fd, buf, BUF_BYTES)) > 0) {
			if (n % (ssize_t)sizeof(*buf)) {
				fprintf(stderr, "%s: not of whole sectors\n", argv[i]);
				return 1;
			}
			for (ssize_t w = 0; w < n / (ssize_t)sizeof(*buf); w++)
				sum = mix(sum, buf[w]);
		}
		if (n < 0) {
			perror(argv[i]);
			return 1;
		}
		close(fd);
		sum = mix(sum, (uint64_t)i);
	}
	return printf("%016llx\n", (unsigned long long)sum) < 0 || fflush(stdout) ? 1 : 0;
}
