/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a live source can tell about itself and how its state is caught: the inventory of the
 * machine, and which blocks of its drives no file system uses.
 */
#ifndef CAPTURE_CAPTURE_H
#define CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

/* inventory.c: the machine as one JSON object (source-server.8, INVENTORY), read from /proc, /sys,
 * /etc and /run below root without running programs. With "/" also what only system calls tell:
 * IPv4 addresses, usage of file systems, the hypervisor's own name. What is not known is null.
 * json: else the same as indented text for people. */
int capture_inventory(const char *root, bool json, struct strbuf *ret, struct err *err);

#endif
