#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# RHEL 8 and 9, Fedora (GRUB, systemd-boot), Oracle with UEK, as they come from VMware: each is found,
# planned, edited, built and taken back as the golden file says.
# shellcheck source=tests/cases/prepare-family-lib.bash
. "$(dirname "$0")/prepare-family-lib.bash"
requires cpio

for name in rhel8 rhel9 fedora fedora-sdboot oracle-uek; do
	family "$name"
done
