# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="ext4 by sdX names, dracut for this host only, extlinux on BIOS, netplan"
initramfs=dracut
storage=ext4
loader=extlinux
network=netplan
names=sd
