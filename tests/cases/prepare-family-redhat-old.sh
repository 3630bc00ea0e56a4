#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# CentOS 5 (mkinitrd), 6 and 7, as they come from VMware: each is found, planned, edited, built and taken
# back as the golden file says.
# shellcheck source=tests/cases/prepare-family-lib.bash
. "$(dirname "$0")/prepare-family-lib.bash"
requires cpio

for name in centos5 centos6 centos7-uefi; do
	family "$name"
done
