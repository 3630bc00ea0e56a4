# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="XFS root, dracut for this host only, GRUB on BIOS, NetworkManager"
initramfs=dracut
storage=xfs
loader=grub-bios
network=networkmanager
