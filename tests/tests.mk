# SPDX-License-Identifier: Apache-2.0
# Tests. The case runner tests/run has one list for `make test` (quick) and one for `make matrix`
# (everything that boots); see tests/README.

TEST_NEEDS := deps check-build worker image controller guests

test: $(TEST_NEEDS) ## all that fits in an hour: check, cases, boots
	$(Q)tests/run --check quick
matrix: $(TEST_NEEDS) ## everything that boots, for a night
	$(Q)tests/run --check all

.PHONY: test matrix
