# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="hyperv-daemons, ext4, initramfs-tools MODULES=dep, extlinux on BIOS, networkd"
initramfs="initramfs-tools"
storage=ext4
loader=extlinux
network=networkd
extra=hyperv-daemons
