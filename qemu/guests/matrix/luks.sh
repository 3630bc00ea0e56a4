# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="LUKS root, key given by the job, initramfs-tools MODULES=dep, GRUB on UEFI, ifupdown"
initramfs="initramfs-tools"
storage=luks
loader=grub-uefi
network=ifupdown
