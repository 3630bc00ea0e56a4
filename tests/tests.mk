# SPDX-License-Identifier: Apache-2.0
# Tests. The case runner tests/run has one list for `make test` (quick) and one for `make matrix`
# (everything that boots); see tests/README.

TEST_NEEDS := deps check-build worker tsan image controller build/host/control-driver build/fast/worker

# Its boots need the BIOS guest only. That is made beside the rest: one waits for an archive and an
# emulator, the other compiles.
test: deps ## all that fits in an hour: check, cases, boots
	$(Q)qemu/guests/build debian12 --firmware bios >/dev/null & guest=$$!; \
	$${MAKE:-make} --no-print-directory $(filter-out deps,$(TEST_NEEDS)) || { kill $$guest; exit 1; }; \
	wait $$guest; \
	tests/run --check quick
matrix: $(TEST_NEEDS) guests ## everything that boots, for a night; writes tests/MATRIX.md
	$(Q)status=0; tests/run --check all || status=$$?; \
	tests/matrix-report >build/matrix/report.md && mv build/matrix/report.md tests/MATRIX.md && \
	exit $$status

.PHONY: test matrix

mutants: deps check-build ## break the code on purpose: every mutant of tests/mutants must fail its test (AREA=name)
	$(Q)scripts/mutate $(AREA)
.PHONY: mutants
