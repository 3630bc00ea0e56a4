# SPDX-License-Identifier: Apache-2.0
# What boots: guests, the demo.

GUESTS ?= debian12
DEMO_NEEDS := deps image worker controller

guests: deps ## the test guests, BIOS and UEFI, in the cache
	$(Q)for g in $(GUESTS); do for f in bios uefi; do qemu/guests/build $$g --firmware $$f; done; done
demo: $(DEMO_NEEDS) ## a real server moves from VMware hardware to KVM and boots (FIRMWARE=uefi)
	$(Q)qemu/migrate $(if $(FIRMWARE),--firmware $(FIRMWARE)) $(DEMO)

.PHONY: guests demo
