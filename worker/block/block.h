/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of this machine, read from sysfs without udev; block devices and disk image files
 * opened and measured; partition tables (GPT, MBR) parsed and their firmware-visible
 * parts masked; loop devices with partitions.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* disks.c */
struct block_disk {
	char name[32];       /* "vda" */
	char node[64];       /* "/dev/vda" */
	uint64_t size;
	uint32_t sector, physical; /* bytes */
	bool read_only, removable, rotational;
	bool mounted;        /* it, one of its partitions or something on top of it */
	bool has_holders;    /* device-mapper, md, ... stand on it or on a partition */
	char serial[64], wwn[64], model[64];
	char bus[16];        /* "virtio", "scsi", "nvme", "ata", "mmc", "xen", "" */
	char sys_path[256];  /* below /sys/devices */
	char by_path[96];    /* "pci-0000:00:05.0-scsi-0:0:1:0" as udev
			      * names it; may be "" */
};
/* Whole disks, in the order of their names; loop, ram, dm and the like are left out.
 * sys_root and dev_root are "/sys" and "/dev" in life. Returns how many there are (at
 * most max are filled). */
int block_disks(const char *sys_root, const char *dev_root, struct block_disk *ret,
	int max, struct err *err);

/* device.c */
enum block_open_flags {
	BLOCK_WRITE = 1,     /* DISK_RO when it is write protected */
	BLOCK_EXCLUSIVE = 2, /* refuses what is mounted or held: devices by O_EXCL, files
			      * by block_check_loops (DISK_BUSY) */
	BLOCK_DIRECT = 4,    /* past the page cache, if the file system can */
};
struct block_dev {
	int fd;
	char name[256];
	bool device;         /* else a regular file */
	bool direct;         /* BLOCK_DIRECT was asked for and granted */
	uint64_t size;
	uint32_t sector;     /* logical; 512 for files */
	uint32_t align;      /* of buffers, offsets and lengths with direct */
};
int block_open(const char *path, unsigned flags, struct block_dev *ret, struct err *err);
void block_close(struct block_dev *d);
/* Names what the bytes behind a descriptor are: the same for a file under its several
 * names and for loop devices over it. "" when that cannot be told. */
#define BLOCK_IDENTITY 48
void block_identity(int fd, char ret[BLOCK_IDENTITY]);
/* Reads the partition table anew (BLKRRPART); retried for 5 s while udev or a probe has
 * it open. DISK_BUSY when a partition is in use. Nothing for files. */
int block_reread_table(const char *path, struct err *err);

/* loop.c */
struct block_loop {
	char node[32];       /* "/dev/loop3"; partitions are /dev/loop3p1, ... */
	int fd;              /* keeps it; -1 = not attached */
};
#define BLOCK_LOOP_INIT { .fd = -1 }
/* DISK_BUSY when the file behind fd is what a loop device in use stands on: a mounted
 * image, say. A user who may not open loop devices is not told. */
int block_check_loops(int fd, const char *name, struct err *err);
/* Attaches a file with partition scanning. With ro nothing can be written through it. */
int block_loop_attach(const char *path, bool ro, struct block_loop *ret, struct err *err);
/* Flushes and detaches; DISK_BUSY when something is still mounted.
 * Fine on BLOCK_LOOP_INIT. */
int block_loop_detach(struct block_loop *l, struct err *err);

/* table.c, gpt.c, mbr.c: partition tables */
enum block_table_kind { BLOCK_TABLE_NONE, BLOCK_TABLE_MBR, BLOCK_TABLE_GPT };
struct block_part {
	int number;          /* as the kernel counts: GPT entry + 1, MBR
			      * 1-4, logical from 5 */
	uint64_t off, len;   /* bytes */
	uint8_t mbr_type;    /* MBR */
	uint8_t type[16];    /* GPT: type GUID as stored (mixed-endian) */
	uint8_t uuid[16];    /* GPT */
	char name[37];       /* GPT, ASCII, others replaced */
	bool active;         /* MBR boot flag, GPT legacy-boot attribute */
	bool esp;            /* EFI system partition by its type, or masked one */
	bool masked;         /* its type is our placeholder: see block_mask */
};
#define BLOCK_MAX_PARTS 256
struct block_table {
	enum block_table_kind kind;
	uint32_t sector;
	bool backup_only;    /* GPT: the first copy is damaged, the second was used */
	bool backup_bad;     /* GPT: the second copy is damaged or missing */
	uint8_t disk_id[16]; /* GPT: disk GUID; MBR: the first 4 bytes */
	int n_parts;
	struct block_part parts[BLOCK_MAX_PARTS];
};
/* Reads len bytes at off of whatever holds the table. */
struct block_reader {
	int (*read)(void *ctx, void *buf, size_t len, uint64_t off, struct err *err);
	void *ctx;
	uint64_t size;       /* bytes of the disk */
	uint32_t sector;     /* 512 or 4096; 0 = try both */
};
/* No table is BLOCK_TABLE_NONE, not an error. DISK_TABLE: there is one, but damaged. */
int block_read_table(const struct block_reader *r, struct block_table *ret,
	struct err *err);

/*
 * mask.c: what firmware starts from is masked until commit. In sector 0 the boot code is
 * replaced by a message and INT 18h. In both GPT copies each ESP gets a placeholder type,
 * and each FAT volume the attribute "No Block IO Protocol" (UEFI 2.10 table 5.8, bit 1),
 * with the CRCs made right again: EDK2 opens any FAT it recognises, whatever the type
 * says, but obeys this bit. In an MBR the types of FAT volumes become 0, which EDK2 skips
 * and Linux does not. What cannot be hidden that way loses its first sector: a FAT volume
 * without partition table, and one in a logical partition, whose type EDK2 ignores. Linux
 * shows all partitions throughout.
 */
#define BLOCK_MASK_HELD 16
struct block_mask {
	uint8_t *head;       /* the first head_len bytes of the disk, changed in place */
	size_t head_len;     /* 1 MiB, or the size of the disk if that is less */
	uint8_t *tail;       /* the last tail_len bytes, changed in place */
	size_t tail_len;     /* 64 KiB are enough; 0 = no second GPT copy */
	/* filled: offsets of sectors (512 bytes) outside of both that are to be zeroed */
	uint64_t held[BLOCK_MASK_HELD];
	int n_held;
};
/* r reads the unmasked disk. Nothing is changed when the disk has
 * no table and no boot code. */
int block_mask(const struct block_reader *r, struct block_mask *m, struct err *err);
extern const uint8_t block_mask_esp_type[16]; /* the placeholder, as stored */

/*
 * move.c: the table of a smaller disk that was copied to a larger one. Its second copy
 * belongs at the end, the header says where that is and how much is usable, and the
 * protective MBR covers all of the disk.
 */
struct block_moved {
	uint8_t sector0[512];
	uint64_t header_off;     /* of the first copy's header; 0 = it stays as it is */
	uint8_t header[512];
	uint64_t backup_off;     /* from here to the end of the disk */
	uint8_t *backup;         /* malloc */
	size_t backup_len;
};
/* r reads the larger disk, in r->sector; old_size: of the smaller. 1: ret says what to
 * write, 0: nothing is to be moved (no GPT, or no room behind its partitions). */
int block_gpt_move(const struct block_reader *r, uint64_t old_size,
	struct block_moved *ret, struct err *err);
/* A sector with a header that was moved, as it was before. */
void block_gpt_unmove(uint8_t *header, const uint8_t *before);

#endif
