# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="XFS root, initramfs-tools MODULES=dep, systemd-boot, bond and VLAN by ifupdown"
initramfs="initramfs-tools"
storage=xfs
loader=systemd-boot
network=bond
