# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the prepare-*.sh cases, in place of lib.sh: phony guests on image files.
#   phony               makes $work/tree; the test may change it
#   pack [MIB]          makes $work/disk of it
#   prepare [OPTION..]  the worker over it: $status, $work/report.json, prepare.log
#   inspect             the same, only looking
#   list NAME           writes $work/NAME: each path of the disk with type, mode, owner, time, sum
#   list_all NAME       the same, and all else that a file system keeps of a path
#   on_file_system TYPE phony guests are on ext4, xfs or btrfs from here on
#   change COMMAND      in bash, in the root of the disk, which it may change
#   stays_and_goes      after a second run: the disk is as `list after` has it; undo: as `list before`
#   is FILTER           the report fulfils a jq filter
#   expect CODE STATUS  how it failed
#   hostile             puts /bin/hostile into the tree (tests/data/hostile.c)
#   unbelieved REGEX    packs and prepares: what a tool has made is refused with that text, and the
#                       guest is as before
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
requires busybox jq sfdisk mke2fs losetup
[ "$(id -u)" = 0 ] || skip "needs root: mounts and namespaces"
kernel=6.1.0-42-amd64
uuid=6b2d3b3e-7e6c-4b63-9a3b-0d6f8f6f0001
nic=52:54:00:12:34:56

phony()
{
	rm -rf "$work/tree"
	tests/data/phony-debian "$work/tree"
}
fstype=ext4
pack()
{
	local mib=64

	if [ "$fstype" != ext4 ]; then
		mib=320
		sed -i "s/ext4/$fstype/" "$work"/tree/etc/fstab "$work"/tree/lib/modules/*/modules.builtin
	fi
	fstype=$fstype uuid=$uuid tests/data/phony-disk "$work/tree" "$work/disk" "${1:-$mib}"
}

# Each with a UUID of its own: the kernel takes two of one for the same file system.
on_file_system()
{
	fstype=$1
	uuid=$(cat /proc/sys/kernel/random/uuid)
}

# A process elsewhere that took a copy of this mount namespace keeps the loop device of a mount that is
# gone here: what was written by it might not be in the file yet, and it would be used again.
disk_is_free()
{
	[ ! -e "$work/disk" ] || wait_for 20 eval '! losetup -j "$work/disk" | has .'
}

stays_and_goes()
{
	list again
	same after again "a second run changed something"
	prepare --undo
	[ "$status" = 0 ] || fail "undo: exit status $status"
	list undone
	same before undone "undo left a difference"
}

prepare()
{
	status=0
	disk_is_free
	"$worker" prepare --json --nic "$nic" "$@" "$work/disk" >"$work/report.json" \
		2>"$work/prepare.log" || status=$?
}

inspect()
{
	status=0
	disk_is_free
	"$worker" inspect --json "$@" "$work/disk" >"$work/report.json" 2>"$work/prepare.log" ||
		status=$?
}

# within COMMAND: in bash, in the root of the disk. The mount is in a namespace of its own: one that
# another test's worker takes a copy of would live on, and the next look would show its old content.
within()
{
	case $fstype in
	ext4) in_tree ro,noload "$1" ;;
	xfs) in_tree ro,norecovery "$1" ;;
	btrfs) in_tree ro "$1" ;;
	esac
}
change() { in_tree rw "$1"; }
in_tree()
{
	mkdir -p "$work/mnt"
	disk_is_free
	unshare -m --propagation private bash -c '
		set -euo pipefail
		mount -o "$3,loop,offset=1048576" "$1/disk" "$1/mnt"
		cd "$1/mnt"
		eval "$2"' within "$work" "$2" "$1" || return # also where it is asked whether it fails
	disk_is_free
}

list()
{
	# shellcheck disable=SC2016 # formats of find
	within '{
		find . -path ./lost+found -prune -o -type d -printf "%p %M %U %G\n" -o \
			-printf "%p %M %U %G %s %T@ %l\n"
		find . -path ./lost+found -prune -o -type f -print0 | xargs -0 sha256sum
	} | LC_ALL=C sort' >"$work/$1"
}

# Names of one file stand together. The times of /var/tmp tell of the guest's tools. Flags that only tell how a file is stored are left out.
list_all()
{
	list "$1"
	# shellcheck disable=SC2016 # formats of find, awk and sed
	within '
		all() { find . -path ./lost+found -prune -o "$@"; }
		all -path ./var/tmp -prune -o -printf "%p %M %U %G %T@ %l\n" | LC_ALL=C sort
		all -type f -size +64k -printf "%p %b blocks\n" | LC_ALL=C sort
		all ! -type d -links +1 -printf "%i %p\n" | LC_ALL=C sort |
			awk "{ names[\$1] = names[\$1] \" \" \$2 } END { for (i in names) print \"names\" names[i] }" |
			LC_ALL=C sort
		all \( -type f -o -type d \) -print0 | LC_ALL=C sort -z | xargs -0 lsattr -dp |
			sed "s/^\( *[0-9]* [^ ]*\)e/\1-/"
		all -print0 | LC_ALL=C sort -z | xargs -0 getfattr -h -d -m - -e hex' >>"$work/$1"
}

# The text of a file on the disk.
show()
{
	debugfs -R "cat $1" "$work/disk?offset=1048576" 2>"$work/debugfs.log"
}

same() { diff "$work/$1" "$work/$2" >"$work/diff.log" || fail "${3:-$1 and $2 differ}"; }

is() { jq -e "$@" "$work/report.json" >"$work/jq.log" || fail "report: not $*"; }

expect()
{
	[ "$status" = "$2" ] || fail "exit status $status, not $2"
	is --arg code "$1" '.error.code == $code'
}

unbelieved()
{
	pack
	list before
	prepare
	expect PREP_VERIFY 7
	is --arg re "$1" '.error.text | test($re)'
	is '.changes == [] and .verdict == "does-not-boot"'
	list after
	same before after "a run that did not pass its own check left a difference"
}

# The program tests/data/hostile.c becomes /bin/hostile of the tree.
hostile()
{
	mkdir -p "$work/tree/etc/initramfs-tools/hooks"
	gcc -static -no-pie -O2 -Wall -Wextra -Werror -o "$work/tree/bin/hostile" tests/data/hostile.c
}
