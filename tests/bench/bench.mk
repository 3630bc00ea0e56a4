# SPDX-License-Identifier: Apache-2.0
# BENCH_RUNS   runs of each side, the median counts           (5)
# BENCH_ROWS   only these rows, as "1 5 7"                    (all)
# BENCH_MINUTES  after so many the rows left are run once     (15)
# BENCH_DIR    where the images lie; a tmpfs with 10 GiB free (/dev/shm)

build/bench/measure: tests/bench/measure.c | deps
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -O2 -D_GNU_SOURCE $(WARN) -o $@ $<

bench: worker build/bench/measure ## replication beside nbdcopy, qemu-img, rsync, dd|lz4|nc
	$(Q)python3 tests/bench/bench.py

.PHONY: bench
