# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="LVM root, dracut for this host only, systemd-boot, ifupdown"
initramfs=dracut
storage=lvm
loader=systemd-boot
network=ifupdown
