#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Amazon Linux, Photon, Arch (GRUB, systemd-boot), Alpine: found, planned, edited, built and taken back
# as the golden file says.
# shellcheck source=tests/cases/prepare-family-lib.bash
. "$(dirname "$0")/prepare-family-lib.bash"
requires cpio

for name in amazon2 amazon2023 photon arch arch-sdboot alpine; do
	family "$name"
done
