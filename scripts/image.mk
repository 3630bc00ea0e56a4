# SPDX-License-Identifier: Apache-2.0
# The bootable image, in build/image/ (LAB=1: build/image-lab/):
#   target-worker.efi  kernel with the initramfs inside: EFI application, PXE and kexec payload
#   target-worker.iso  hybrid image: CD, disk volume, USB; BIOS and UEFI
#   manifest.json      offsets, sums, versions and licences;  sbom.cdx.json  the same for tools
# IMAGE_WORKER=DIR takes the worker from elsewhere (tests of PID 1).

IMAGE := build/image$(if $(LAB),-lab)
IMAGE_WORKER ?= build/worker
IMAGE_PARTS := build/parts/musl
INIT_SRC := $(sort $(wildcard initramfs/init*.c))
INIT_CFLAGS := -std=c11 -D_GNU_SOURCE -DTW_VERSION='"$(VERSION)"' $(WARN) -Os -fPIE -static-pie \
	-fstack-protector-strong -ffile-prefix-map=$(CURDIR)=. -s $(if $(LAB),-DTW_LAB)

image: $(IMAGE)/manifest.json $(IMAGE)/target-worker.iso ## the bootable image in build/image/
	$(Q)scripts/make-image-size $(IMAGE)

# Remade only when the programs change, not whenever the parts were looked at.
IMAGE_PROGRAMS := $(addprefix $(IMAGE_PARTS)/,bin/busybox share/busybox/links sbin/lvm \
	sbin/dmsetup sbin/mdadm sbin/cryptsetup)
$(IMAGE_PROGRAMS): | build/parts/musl.stamp

$(IMAGE)/init: $(INIT_SRC) initramfs/init-internal.h scripts/image.mk | build/parts/musl.stamp
	@mkdir -p $(@D)
	$(Q)$(musl_CC) $(INIT_CFLAGS) -o $@ $(INIT_SRC)
$(IMAGE)/poweroff: initramfs/poweroff.c scripts/image.mk | build/parts/musl.stamp
	@mkdir -p $(@D)
	$(Q)$(musl_CC) $(INIT_CFLAGS) -o $@ $<
$(IMAGE)/gen_init_cpio: scripts/sources.lock scripts/build-kernel
	@mkdir -p $(@D)
	$(Q)scripts/build-kernel generator $@

$(IMAGE)/initramfs.cpio: $(IMAGE)/init $(IMAGE)/poweroff $(IMAGE)/gen_init_cpio \
		initramfs/image.list initramfs/default.script scripts/make-initramfs \
		$(IMAGE_WORKER)/worker $(IMAGE_PROGRAMS)
	$(Q)PARTS=$(IMAGE_PARTS) WORKER=$(IMAGE_WORKER) \
		scripts/make-initramfs $(IMAGE)/gen_init_cpio $(IMAGE)
$(IMAGE)/target-worker.efi: $(IMAGE)/initramfs.cpio $(wildcard kernel-config/*.config) \
		scripts/build-kernel scripts/build-kernel-config scripts/sources.lock
	$(Q)s=$$SECONDS; scripts/build-kernel link $< $@ && echo "kernel linked in $$((SECONDS - s)) s"
$(IMAGE)/target-worker.iso $(IMAGE)/layout.json &: $(IMAGE)/target-worker.efi scripts/make-iso
	$(Q)scripts/make-iso $< $(IMAGE)/target-worker.iso $(IMAGE)/layout.json $(IMAGE)/image-id
$(IMAGE)/manifest.json: $(IMAGE)/target-worker.iso $(IMAGE)/layout.json scripts/make-image-manifest \
		scripts/components scripts/sources.lock Makefile
	$(Q)scripts/make-image-manifest $(IMAGE) $(VERSION) $(IMAGE_WORKER)/worker

# PID 1 with the other compiler and in both builds; `make check` runs this through check-clang.
build/clang/init build/clang/init-lab: $(INIT_SRC) initramfs/init-internal.h scripts/image.mk
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(CFLAGS_ALL) -O2 $(if $(filter %-lab,$@),-DTW_LAB) -o $@ $(INIT_SRC)
check-clang: build/clang/init build/clang/init-lab

kernel: deps ## compile the kernel's objects into the cache (some ten minutes, once)
	$(Q)scripts/build-kernel objects
kconfig-check: deps ## compare the final kernel configuration with what kernel-config/ asks for
	$(Q)scripts/build-kernel check
size: $(IMAGE)/manifest.json ## sizes, checked against scripts/size.limits
	$(Q)scripts/make-image-size $(IMAGE)
reproducible: $(IMAGE)/manifest.json ## build a second time elsewhere and compare bit by bit
	$(Q)scripts/make-image-twice $(IMAGE)

.PHONY: image kernel kconfig-check size reproducible
