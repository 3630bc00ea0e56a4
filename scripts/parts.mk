# SPDX-License-Identifier: Apache-2.0
# Third-party parts. build/parts/FLAVOUR.stamp is what other rules depend on (order-only):
# after it, build/parts/FLAVOUR/{include,lib,bin,sbin} are complete.

parts_inputs := scripts/sources.lock scripts/build-parts scripts/fetch \
	$(shell find scripts/parts -type f) $(wildcard initramfs/busybox.config)

deps: ## install the Debian packages that are missing
	$(Q)scripts/deps
fetch: deps ## bring all third-party sources into the cache
	$(Q)scripts/fetch
parts: build/parts/musl.stamp ## third-party parts, static musl
parts-host: build/parts/host.stamp ## third-party libraries for unit tests

# A link into a cache that was emptied leads nowhere: then the parts are made again.
parts_lost = $(if $(wildcard build/parts/$(1)/include/lz4.h),,FORCE)
build/parts/musl.stamp: $(parts_inputs) $(call parts_lost,musl) | deps
build/parts/host.stamp: $(parts_inputs) $(call parts_lost,host) | deps
build/parts/%.stamp:
	$(Q)scripts/build-parts $*
	@touch $@

FORCE:
.PHONY: deps fetch parts parts-host FORCE
