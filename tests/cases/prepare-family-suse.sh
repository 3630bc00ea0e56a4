#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SLES 11, 12, 15, openSUSE, and ALT with its own tool: found, planned, edited, built and taken back as
# the golden file says.
# shellcheck source=tests/cases/prepare-family-lib.bash
. "$(dirname "$0")/prepare-family-lib.bash"
requires cpio

for name in sles11 sles12 sles15 opensuse alt; do
	family "$name"
done
