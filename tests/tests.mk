# SPDX-License-Identifier: Apache-2.0
# Tests. The case runner tests/run has one list for `make test` (quick) and one for `make matrix`
# (everything that boots); see tests/README.

TEST_NEEDS := deps check-build worker image controller

# Its boots need the BIOS guest only.
test: $(TEST_NEEDS) ## all that fits in an hour: check, cases, boots
	$(Q)qemu/guests/build debian12 --firmware bios
	$(Q)tests/run --check quick
matrix: $(TEST_NEEDS) guests ## everything that boots, for a night
	$(Q)tests/run --check all

.PHONY: test matrix
