/* SPDX-License-Identifier: Apache-2.0 */
/* Included by guest-internal.h: names of disks and volumes; the machine that a guest was
 * made for, and the one it is in. */
#ifndef GUEST_NAMES_INTERNAL_H
#define GUEST_NAMES_INTERNAL_H

/* devices.c: names that a kernel gives to disks */
/* "/dev/sda1", "/dev/nvme0n1p2", ... */
bool guest_parse_device(const char *spec, struct guest_device *ret);
bool guest_part_number(const char *s, int *ret);
/* Names that may mean more than one volume: which one is never chosen. */
#define GUEST_SEVERAL (-2)
/* Index of the copied disk that is meant, -1 = none of them, or GUEST_SEVERAL. */
int guest_disk_of(const struct guest *g, const struct guest_device *d);
/* enum guest_link, and in *ret_end where the number of a partition would begin; or -1. */
int guest_link_kind(const struct guest *g, const char *spec, const char **ret_end);
/* Fills g->seen from the mounted guest's files. */
void guest_note_names(struct guest *g);

/* names.c */
/* The boot disk's name when the volume that this machine started from is
 * gone: "/dev/vda" for "/dev/vdb". False: not a name that tells. */
bool guest_first_of_bus(const char *node, char *ret, size_t size);
/* Names a volume that is on none of the given disks, or a disk that cannot be told. */
bool guest_is_elsewhere(const struct guest *g, const char *spec);
/* "UUID=..." for a device name that depends on the order of disks; false: not such a
 * name, none of the disks has it, or no name is the volume's alone. */
bool guest_stable_name(struct guest *g, const char *spec, char *ret, size_t size);
/* Such a device name for whose volume there is no other one. */
bool guest_has_twin(struct guest *g, const char *spec);
/* The same as a path, "/dev/disk/by-uuid/...". */
bool guest_stable_path(const struct boot_map *m, const char *spec, char *ret,
	size_t size);
/* The volume that a fstab or root= value means, -1 = unknown, or GUEST_SEVERAL. */
int guest_find_vol(const struct guest *g, const char *spec);
/* The same of what the operator gave: also as this machine calls it. */
int guest_find_given(const struct guest *g, const char *spec);
/* Why guest_find_vol finds none: behind the name it makes a sentence. */
const char *guest_why_absent(const struct guest *g, const char *spec);

/* firmware.c: fills facts.firmware */
void guest_find_firmware(struct guest *g);
/* The mounted ESP as a boot entry names it; number 0 = none is mounted. */
int guest_esp_part(const struct guest *g, struct boot_efi_part *ret, struct err *err);

/* cpu.c */
void guest_find_cpu(struct guest *g);
int guest_cpu_needed(const char *id, const char *version);
/* That /proc/cpuinfo tells of, 0 = it does not. */
int guest_cpu_level(const char *cpuinfo, size_t len);
/* Warns when this CPU is below what the guest needs. */
void guest_check_cpu(struct guest *g, const char *cpuinfo, size_t len);

/* virtio.c */
enum guest_virtio guest_kernel_virtio(const struct guest *g,
	const struct guest_kernel *k);
/* QEMU's, whose virtio devices the bootable kernels drive: "q35", "pc";
 * "" = not for x86. */
const char *guest_machine_type(const struct guest *g);
/* Warns when this machine (pci: /sys/bus/pci/devices) has devices
 * that such a kernel does not drive. */
void guest_check_virtio(struct guest *g, const char *pci);

#endif
