# SPDX-License-Identifier: Apache-2.0
# What boots: guests, the demo.

GUESTS ?= debian12
DEMO_NEEDS := deps image worker controller

guests: deps ## the test guests, BIOS and UEFI, in the cache
	$(Q)for g in $(GUESTS); do for f in bios uefi; do qemu/guests/build $$g --firmware $$f; done; done
# The guest is made beside the image: one waits for an archive and an emulator, the other compiles.
define demo
	$(Q)qemu/guests/build debian12 --firmware $(or $(FIRMWARE),bios) >/dev/null & guest=$$!; \
	$${MAKE:-make} --no-print-directory $(filter-out deps,$(DEMO_NEEDS)) || { kill $$guest; exit 1; }; \
	wait $$guest; \
	qemu/migrate --firmware $(or $(FIRMWARE),bios) $(1) $(DEMO)
endef
demo: deps ## a real server moves from VMware hardware to KVM and boots (FIRMWARE=uefi)
	$(call demo)
demo-delta: deps ## the same in two phases: copied while it works, then only what changed (DEMO=--ask)
	$(call demo,--delta)

.PHONY: guests demo demo-delta
