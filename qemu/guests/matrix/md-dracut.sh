# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # read by assemble
about="md RAID1 of two disks, dracut for this host only, GRUB on UEFI, networkd"
initramfs=dracut
storage=md
loader=grub-uefi
network=networkd
