# SPDX-License-Identifier: Apache-2.0
# The reference controller: an ordinary host program. With SAN=1 it is built with ASan and UBSan.

CONTROLLER_SRC := $(sort $(wildcard qemu/controller/*.c))
CONTROLLER_OBJ := $(patsubst qemu/controller/%.c,build/controller/obj/%.o,$(CONTROLLER_SRC))
CONTROLLER_LIBS := -lmicrohttpd -lgnutls -lsqlite3 -ljansson
CONTROLLER_FLAGS := $(if $(SAN),-O1 -g $(SANITIZE),-O2 -g)

build/controller/flags: FORCE
	@mkdir -p $(@D)/obj; f='$(CC) $(CONTROLLER_FLAGS) $(CFLAGS_ALL)'; \
	[ -f $@ ] && [ "$$(cat $@)" = "$$f" ] || printf '%s\n' "$$f" >$@

build/controller/obj/%.o: qemu/controller/%.c build/controller/flags
	$(if $(V),,@echo '  CC $<';)$(CC) $(CFLAGS_ALL) $(CONTROLLER_FLAGS) -c -o $@ $<

build/controller/controller: $(CONTROLLER_OBJ)
	$(if $(V),,@echo '  LD $@';)$(CC) $(CONTROLLER_FLAGS) -o $@ $^ -pthread $(CONTROLLER_LIBS)

controller: build/controller/controller ## the reference controller
.PHONY: controller
-include $(wildcard build/controller/obj/*.d)

# The worker's control module alone, for tests/cases/control-*: under ASan, and without the modules
# above and below it.
build/host/control-driver: tests/unit/control/driver.c build/host/control.a build/host/base.a \
		build/host/obj/job/names.o
	$(if $(V),,@echo '  LD $@';)$(host_CC) $(CFLAGS_ALL) $(host_CFLAGS) -o $@ $< build/host/control.a \
		build/host/obj/job/names.o build/host/base.a $(host_LDFLAGS) $(LIBS)
