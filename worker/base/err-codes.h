/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every failure an operator can meet. Names are stable: they stand in events,
 * result.json, the controller contract and worker.8; a number is never reused. Included
 * several times with X defined as X(name, exit status, retryable, hint).
 *
 * exit status: 2 usage and configuration, 3 network and controller, 4 source, 5 target
 * disk, 6 verification, 7 guest preparation, 8 cancelled, 9 internal.
 */
X(INTERNAL, 9, 0, "this is a defect of the worker; send the log to its developers")
X(NOMEM, 9, 1, "give the VM more memory (128 MB on BIOS, 192 MB on UEFI)")
X(CANCELLED, 8, 1, "start the job again; it continues where it stopped")
X(USAGE, 2, 0, "see the manual page of the program for its command line")

X(CFG_MISSING, 2, 1, "give the job by SMBIOS type 11, the TWCONFIG partition or tw.job=")
X(CFG_AMBIGUOUS, 2, 0, "two channels carry different jobs; leave only one")
X(CFG_INVALID, 2, 0, "correct the named key of the job document; nothing was started")
X(JOB_DONE, 2, 0,
	"detach this volume and start the VM; to copy again put the job there anew")
X(CFG_LATE, 2, 1, "the announced config volume did not appear; check that it is attached")

X(NET_NO_LINK, 3, 1,
	"check that the VM's network adapter is connected, and its MAC address")
X(NET_DHCP, 3, 1,
	"check the DHCP server of this network, or give a static address in the job")
X(NET_STATIC, 3, 0, "check address, prefix and gateway of the job's network section")
X(NET_ROUTE, 3, 1, "no route to that address; check the gateway")
X(NET_DNS, 3, 1,
	"name not resolved; give an address, or a DNS server that knows the name")
X(NET_IO, 3, 1, "the connection broke; the worker tries again by itself")

X(CTL_UNREACHABLE, 3, 1,
	"check address and port of the controller from the target's network")
X(CTL_PIN, 3, 0, "the controller's key is not the pinned one; compare controller.pins")
X(CTL_AUTH, 3, 0, "the controller refused the token; make a new job")
X(CTL_GONE, 3, 0, "the controller does not know this migration any more")
X(CTL_LEASE, 3, 1, "the controller gave this worker up; it registers again")
X(CTL_PROTO, 3, 0, "the controller's answer does not follow controller-api.yaml")

X(SRC_CONNECT, 4, 1, "check that source-server runs and that TCP 5994 is open from here")
X(SRC_AUTH, 4, 0, "the source refused the key; compare source.psk with its --psk-file")
X(SRC_PIN, 4, 0, "the source's certificate or name is not the expected one")
X(SRC_TLS, 4, 0, "TLS with the source failed; check that both ends want TLS")
X(SRC_VERSION, 4, 0,
	"worker and source-server do not share a protocol version; update one")
X(SRC_PROTO, 4, 0,
	"the source broke the protocol; check that address and port are the source's")
X(SRC_IS_NBD, 4, 0, "this is an NBD server: use nbd:// or nbds:// in source.url")
X(SRC_IS_HTTP, 4, 0, "this is an HTTP server: check address and port of source.url")
X(SRC_NO_DRIVE, 4, 0,
	"the source does not serve that drive; compare drives[].source with --drive")
X(SRC_EOF, 4, 1, "the source went away; start it again, the worker continues")
X(SRC_READ, 4, 1,
	"the source cannot read these sectors; check its disk, see bad_ranges_max")
X(SRC_SLOW, 4, 1, "no byte came for a long time; check the source's load and the link")
X(SRC_CHANGED, 4, 1,
	"the source changed while it was read; run again, everything is compared")
X(SRC_HOOK, 4, 0, "the operator's program on the source failed; see source-server's log")
X(SRC_SNAPSHOT, 4, 0,
	"no LVM snapshot, or it was full; give the group space, or --snapshot never")
X(SRC_CONSISTENCY, 4, 0,
	"the source cannot hold that drive still; its log names what uses it")
X(SRC_SIZE, 4, 0, "the source reports an impossible drive size")

X(DISK_NOT_FOUND, 5, 1,
	"attach the disk, or correct drives[].target or the name on the command line")
X(DISK_AMBIGUOUS, 5, 0, "several disks match; name the target by serial, WWN or bus path")
X(DISK_SMALL, 5, 0, "the target is smaller than the source drive; make it larger")
X(DISK_RO, 5, 0, "the target is write protected")
X(DISK_BUSY, 5, 0, "the target is mounted, in use, or the volume the worker booted from")
X(DISK_IO, 5, 1, "the target disk failed; check the storage behind the VM")
X(DISK_FULL, 5, 1, "the storage behind the target is full")
X(DISK_TABLE, 5, 0, "the partition table is damaged")
X(DISK_SECTOR, 5, 0, "give a target disk whose logical sector size is the source drive's")

X(VERIFY_HASH, 6, 1,
	"target and source differ after the copy; check the target's memory and storage")

X(MEM_LOW, 2, 0, "give the VM more memory (128 MB on BIOS, 192 MB on UEFI)")
X(FW_MISMATCH, 7, 0,
	"the guest was installed for the other firmware; change the VM's firmware")
X(FS_UNKNOWN, 7, 0,
	"the worker does not know this file system; move what it holds to ext4 or xfs")
X(FS_DIRTY, 7, 0,
	"the file system is damaged; have it checked on the source (fsck), then copy again")
X(FS_MOUNT, 7, 0, "the file system cannot be mounted; check it on the source")
X(FS_UNSAFE, 7, 0, "a path of the guest leads out of its root; see the log")
X(PREP_NO_SYSTEM, 7, 0, "no Linux or Windows system was found on the copied drives")
X(PREP_MULTI_SYSTEM, 7, 0, "several systems were found; name one in prepare.guest")
X(PREP_UNSUPPORTED, 7, 0,
	"this guest system is not supported; see the plan in the report")
X(PREP_NO_SPACE, 7, 1,
	"free space on the named file system of the source, then copy again")
X(PREP_NO_KERNEL, 7, 0, "no kernel with virtio drivers was found in the guest")
X(PREP_INITRD, 7, 0, "the guest's initramfs tool failed; see its output in the log")
X(PREP_LOADER, 7, 0, "the boot loader's files are not complete or not understood")
X(PREP_TOOLS, 7, 0, "the old hypervisor's tools could not be removed; see the log")
X(PREP_EXTENSION, 7, 0, "an operator's script failed; see its output in the log")
X(PREP_TIMEOUT, 7, 1,
	"a guest command took too long and was ended; see its output in the log")
X(PREP_TASKS, 7, 0,
	"a guest command started too many processes and was ended; see its output in the log")
X(PREP_STUCK, 7, 1,
	"a guest command cannot be ended: check the storage behind the VM, then run again")
X(PREP_STACK, 7, 0,
	"the guest's arrays, groups or file systems are incomplete or clash; see the text")
X(PREP_KEY, 7, 0, "no given key opens the encrypted volume; see prepare.keys in worker.8")
X(PREP_VERIFY, 7, 0, "the prepared guest would not boot; see the report")
X(PREP_EDITED, 7, 0, "decide what becomes of later changes: prepare.edited, --edited")
X(PREP_UNDO, 7, 0, "the changes could not be taken back; copy the guest again")

X(WORKER_CRASH, 9, 1, "the worker crashed; start the job again and send the log")
X(WORKER_STALL, 9, 1, "the worker made no progress and was ended; start the job again")
X(BOOT_LOOP, 9, 1,
	"the machine was reset in the middle each time; see its console, then start it again")

X(OFF_UMOUNT, 9, 0,
	"a file system was still in use at the end; check it before the clone is started")
X(OFF_DM, 9, 0,
	"a device stayed mapped at the end; send the log to the worker's developers")
X(OFF_SYNC, 5, 1,
	"the storage did not confirm the last writes; check it, then run the job again")
