# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # dir, image and fail come from lib.sh
# Sourced by the stack-*.sh tests, after lib.sh: layers that only the image's kernel can make. One
# boot makes the disks, works on them with the worker under test and keeps what it said.
#   stack_tree          $dir/tree: the phony guest of tests/data/phony-debian
#   stack_image F MIB   F: ext4 with $dir/tree, to be written into a volume inside the machine
#   stack_worker <<END  the script of the machine; it has
#       tw NAME ARGS..  the worker; /mnt/out/NAME.json, NAME.err, NAME.rc
#       want RC NAME ARGS..  the same, and the exit status has to be RC
#       check TEXT CMD..     CMD has to succeed
#       sum DEV..       one number for all bytes of the devices
#       idle            no layer is open
#   stack_run           runs it, with stack_append on the kernel command line; all files of /mnt/out are in $dir/out then
#   is NAME FILTER      NAME.json fulfils a jq filter

requires mkfs.fat mcopy mke2fs sfdisk busybox gcc

stack_tree() { tests/data/phony-debian "$dir/tree"; }

stack_image()
{
	rm -f "$1"
	truncate -s "${2}M" "$1"
	mke2fs -q -F -t ext4 -U "${3:-6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0001}" -d "$dir/tree" \
		-E root_owner=0:0 "$1"
}

stack_worker()
{
	{
		cat <<-'HEAD'
			fail() { echo "STACK-FAILED: $*"; sync; umount /mnt/out; tell finish poweroff; exit 1; }
			tw() { name=$1; shift; /bin/tw "$@" >"/mnt/out/$name.json" 2>"/mnt/out/$name.err"; rc=$?; echo $rc >"/mnt/out/$name.rc"; echo "tw $name: $rc at $(cut -d" " -f1 /proc/uptime) s"; return $rc; }
			want() { expected=$1; shift; tw "$@"; [ $? = "$expected" ] || { cat "/mnt/out/$1.err"; fail "$1: not $expected"; }; }
			check() { text=$1; shift; "$@" || fail "$text"; }
			sum() { /bin/block-sum "$@" || fail "no sum of $*" >&2; }
			idle() { dmsetup ls | grep -v '^No devices' && return 1; ! grep -q '^md[0-9]* : active' /proc/mdstat; }
			export LVM_SUPPRESS_FD_WARNINGS=1
			mkdir -p /mnt/out /run/lock
			mount -t vfat "/dev/$(grep -l STACKOUT /sys/block/vd*/serial | cut -d/ -f4)" /mnt/out || fail "no disk for results"
		HEAD
		cat
		echo 'umount /mnt/out'
		echo 'echo STACK-DONE'
		echo 'tell finish poweroff'
	} | boot_worker
	printf 'file /bin/tw %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
	printf 'file /usr/sbin/cryptsetup %s 0755 0 0\n' \
		"$(readlink -f "$top/build/parts/musl/sbin/cryptsetup")" >>"$dir/overlay.list"
	gcc -static -O2 -Wall -Wextra -Werror -o "$dir/block-sum" tests/data/block-sum.c
	printf 'file /bin/block-sum %s 0755 0 0\n' "$dir/block-sum" >>"$dir/overlay.list"
	"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
}

stack_run()
{
	# FAT32 has no limit of files.
	truncate -s "${stack_out:-40}M" "$dir/out.fat"
	mkfs.fat -F 32 -s 1 -n OUT "$dir/out.fat" >"$dir/mkfs.log"
	qemu_disk "$dir/out.fat,serial=STACKOUT"
	boot_kernel "${stack_append:-}"
	boot_run "${stack_limit:-150}" || fail "the machine did not power off"
	mkdir -p "$dir/out"
	mcopy -n -i "$dir/out.fat" '::*' "$dir/out/" || fail "no results"
	expect_off guest-shutdown
	expect_no_serial 'STACK-FAILED'
	expect_serial 'STACK-DONE'
}

is()
{
	jq -e "$2" "$dir/out/$1.json" >"$dir/jq.log" ||
		fail "$1: not $2: $(jq -c '{verdict, because, warnings, error}' "$dir/out/$1.json")"
}
