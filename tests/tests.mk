# SPDX-License-Identifier: Apache-2.0
# Tests. The case runner tests/run takes the place of one list for `make test` (quick) and one
# for `make matrix` (everything that boots); see tests/README.

test: deps image build/host/worker build/host/source-server controller guests ## all that fits in an hour: check, cases, boots
	$(Q)tests/run --check quick
.PHONY: test
