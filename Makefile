# SPDX-License-Identifier: Apache-2.0
# target-worker: `make help` lists the targets.
#
# Variables:
#   CC, CLANG      host compilers for tests and tools            (gcc, clang)
#   CACHE          third-party parts, kernels, guests by hash    (~/.cache/target-worker)
#   SOURCES=DIR    take third-party source archives from DIR instead of fetching them
#   LAB=1          image with a shell on request and test devices; never for customers
#   FIRMWARE=uefi  for demo: OVMF instead of SeaBIOS
#   V=1            print commands

.DEFAULT_GOAL := all
SHELL := /bin/bash
.SHELLFLAGS := -e -o pipefail -c
.DELETE_ON_ERROR:

CC = gcc
CLANG = clang
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/target-worker
export CACHE SOURCES LAB FIRMWARE
VERSION := 0.1.0
Q := $(if $(V),,@)

# The modules, lowest first; the order of linking is the reverse.
MODULES := base net block proto source capture serve sink copy fs initrd boot guest job control
LIBS := -lcurl -lmbedtls -lmbedx509 -lmbedcrypto -lsodium -lipsec-mb-gcm -lyyjson -llz4 -lxxhash \
	-lblkid -lefiboot -lefivar -lzstd -llzma -lz

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
	-Wpointer-arith -Wwrite-strings -Wformat=2 -Wno-format-nonliteral
CFLAGS_ALL := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DTW_VERSION='"$(VERSION)"' \
	$(WARN) -Iworker -fno-strict-aliasing -fno-common -pthread -MMD -MP
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# Five ways to compile the same code. Each has its objects below build/<flavour>/.
#   musl   release, static        host   gcc with ASan and UBSan, for unit tests
#   clang  clang with warnings    fast   gcc -O2 without sanitizers, for benchmarks
#   tsan   gcc with ThreadSanitizer, for tests/cases/copy-tsan
musl_CC = build/parts/musl/bin/musl-gcc
musl_CFLAGS = -O2 -g -ffile-prefix-map=$(CURDIR)=. -fPIE -fstack-protector-strong \
	-ffunction-sections -fdata-sections -Ibuild/parts/musl/include
musl_LDFLAGS = -static -Lbuild/parts/musl/lib -Wl,--gc-sections -Wl,-z,relro,-z,now
host_CC = $(CC)
host_CFLAGS = -O1 -g $(SANITIZE) -isystem build/parts/host/include
host_LDFLAGS = $(SANITIZE) -Lbuild/parts/host/lib -pthread
clang_CC = $(CLANG)
clang_CFLAGS = -O2 -g -isystem build/parts/host/include
fast_CC = $(CC)
fast_CFLAGS = -O2 -g -isystem build/parts/host/include
fast_LDFLAGS = -Lbuild/parts/host/lib -pthread
tsan_CC = $(CC)
tsan_CFLAGS = -O1 -g -fsanitize=thread -fno-omit-frame-pointer -isystem build/parts/host/include
tsan_LDFLAGS = -fsanitize=thread -Lbuild/parts/host/lib -pthread
fuzz_CC = $(CLANG)
fuzz_CFLAGS = -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -isystem build/parts/host/include
fuzz_LDFLAGS = -fsanitize=fuzzer,address,undefined -Lbuild/parts/host/lib -pthread

FLAVOURS := musl host clang fast tsan fuzz

all: worker ## the worker and source-server (static musl)

-include scripts/parts.mk
-include scripts/image.mk
-include qemu/qemu.mk
-include qemu/controller/controller.mk
-include tests/tests.mk
-include tests/bench/bench.mk

# A rebuild of everything when flags change.
define flavour
build/$(1)/flags: FORCE
	@mkdir -p $$(@D); f='$$($(1)_CC) $$(CFLAGS_ALL) $$($(1)_CFLAGS)'; \
	[ -f $$@ ] && [ "$$$$(cat $$@)" = "$$$$f" ] || printf '%s\n' "$$$$f" >$$@

build/$(1)/obj/%.o: worker/%.c build/$(1)/flags | build/parts/$(if $(filter musl,$(1)),musl,host).stamp
	@mkdir -p $$(@D)
	$(if $(V),,@echo '  CC $(1) $$<';)$$($(1)_CC) $$(CFLAGS_ALL) $$($(1)_CFLAGS) -c -o $$@ $$<
endef
$(foreach f,$(FLAVOURS),$(eval $(call flavour,$(f))))

module_objs = $(patsubst worker/%.c,build/$(1)/obj/%.o,$(sort $(wildcard worker/$(2)/*.c)))
lib_objs = $(foreach m,$(MODULES),$(call module_objs,$(1),$(m)))
worker_objs = $(patsubst worker/%.c,build/$(1)/obj/%.o,worker/main.c $(sort $(wildcard worker/cmd-*.c)))

define flavour_lib
build/$(1)/libworker.a: $$(call lib_objs,$(1))
	@rm -f $$@; ar Drcs $$@ $$^
$(foreach m,$(MODULES),
build/$(1)/$(m).a: $$(call module_objs,$(1),$(m))
	@rm -f $$@; ar Drcs $$@ $$^
)
build/$(1)/worker: $$(call worker_objs,$(1)) build/$(1)/libworker.a
	$(if $(V),,@echo '  LD $$@';)$$($(1)_CC) -o $$@ $$(call worker_objs,$(1)) build/$(1)/libworker.a \
		$$($(1)_LDFLAGS) $(LIBS)
build/$(1)/source-server: build/$(1)/obj/source-server.o build/$(1)/libworker.a
	$(if $(V),,@echo '  LD $$@';)$$($(1)_CC) -o $$@ $$< build/$(1)/libworker.a \
		$$($(1)_LDFLAGS) $(LIBS)
endef
$(foreach f,$(FLAVOURS),$(eval $(call flavour_lib,$(f))))

# Release programs, stripped; the unstripped ones stay in build/musl for debugging.
build/worker/%: build/musl/%
	@mkdir -p $(@D)
	$(Q)strip -o $@ $<
worker: build/worker/worker build/worker/source-server ## static musl programs in build/worker/

# Unit tests: each tests/unit/<module>/test-*.c is a program.
UNIT := $(patsubst tests/unit/%.c,build/host/unit/%,$(sort $(wildcard tests/unit/*/test-*.c)))
define unit
build/$(1)/unit/%: tests/unit/%.c $(wildcard tests/unit/*.h tests/unit/*/*.h) build/$(1)/libworker.a
	@mkdir -p $$(@D)
	$(if $(V),,@echo '  CC test $$<';)$$($(1)_CC) $$(CFLAGS_ALL) -Wno-missing-prototypes $$($(1)_CFLAGS) \
		-I. -o $$@ $$< build/$(1)/libworker.a $$($(1)_LDFLAGS) $$(LIBS)
endef
$(foreach f,host tsan,$(eval $(call unit,$(f))))

# Where threads meet: the engine and the server, their unit tests and both programs.
TSAN := build/tsan/worker build/tsan/source-server $(patsubst tests/unit/%.c,build/tsan/unit/%,\
	$(sort $(wildcard tests/unit/copy/test-*.c tests/unit/serve/test-*.c)))
tsan: $(TSAN) ## programs and tests with ThreadSanitizer in build/tsan/

# Its tests include the files of PID 1.
$(filter build/host/unit/init/%,$(UNIT)): $(wildcard initramfs/*.[ch])

# Fuzzers: each tests/fuzz/fuzz-NAME.c, seeds in tests/fuzz/corpus/NAME/.
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/fuzz-*.c)))
build/fuzz/fuzz-%: tests/fuzz/fuzz-%.c build/fuzz/libworker.a
	$(if $(V),,@echo '  CC fuzz $<';)$(fuzz_CC) $(CFLAGS_ALL) -Wno-missing-prototypes $(fuzz_CFLAGS) \
		-I. -o $@ $< build/fuzz/libworker.a $(fuzz_LDFLAGS) $(LIBS)

check-unit: $(UNIT) ## unit tests under ASan and UBSan
	$(Q)scripts/check.sh unit $(UNIT)
check-fuzz: $(FUZZ) ## every fuzzer for a few seconds, over its seeds
	$(Q)scripts/check.sh fuzz $(FUZZ)
check-clang: $(call lib_objs,clang) $(call worker_objs,clang) ## the same code, clang's warnings
check-static: ## layers, symbols, shellcheck, licences, words
	$(Q)scripts/check.sh static
check-build: deps ## what check runs, built and not run
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) $(UNIT) check-clang build/host/worker \
		build/host/source-server $(FUZZ)
check: check-build ## unit tests, static checks, sanitizers, short fuzz; no boot
	$(Q)scripts/check.sh all

cache: ## where the results are kept that outlive build/, and how large they are
	@mkdir -p $(CACHE); du -hsc $(CACHE)/* | sort -h; echo 'remove what you like: it is made again'
clean: ## remove build/ (the cache stays)
	rm -rf build

help: ## this list
	@sed -n '/^# Variables:/,/^$$/s/^# \{0,1\}//p' Makefile; echo Targets:
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort -u | \
		sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 22

FORCE:
.PHONY: all worker tsan check check-build check-unit check-fuzz check-clang check-static cache clean help FORCE
.SECONDARY:

-include $(wildcard build/*/obj/*.d build/*/obj/*/*.d)
