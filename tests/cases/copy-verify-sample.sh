#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# --verify=sample looks at every leaf that holds a file system's own records, wherever it lies: one bit
# that the target took wrongly there is found each time. In other data it is found by chance.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires mkfs.ext4 mkfs.xfs mkfs.btrfs mkntfs mkfs.vfat

leaf=$((64 << 10))
# drive OF [SKIP]: a drive of 64 MiB with nothing but the leaf number SKIP of a file, at 20 MiB
drive() {
	rm -f "$work/src" "$work/dst"
	truncate -s 64M "$work/src"
	dd if="$1" of="$work/src" bs=$leaf skip="${2:-0}" seek=320 count=1 conv=notrunc status=none
}
# found WHAT: the write of that leaf, the second after that of the mark, is wrong by one bit
found() {
	copy --connections 1 --verify=sample "file:$work/src" "record:$work/dst?flip=2&log=$work/writes"
	[ "$(grep ^write "$work/writes" | sed -n 2p)" = "write $((20 << 20)) $leaf" ] ||
		fail "the second write is another: $(head -n 3 "$work/writes")"
	[ $status != 0 ] || fail "$1: a wrong leaf was not noticed"
	[ "$(value 'errors[0].code')" = VERIFY_HASH ] || fail "$1: $(value 'errors[0].text')"
	grep -q "1 leaves of 64 KiB differ from the source, the first at byte $((20 << 20))" "$work/copy.log" ||
		fail "$1: $(tail -n 1 "$work/copy.log")"
}
# each_with MAGIC FILE WHAT: every leaf of the file in which the magic begins
each_with() {
	local at seen='' n=0
	for at in $(LC_ALL=C grep -obUaP "$1" "$2" | cut -d: -f1); do
		case " $seen " in *" $((at / leaf)) "*) continue ;; esac
		seen="$seen $((at / leaf))"
		drive "$2" $((at / leaf))
		found "$3 at $at"
		[ $((n += 1)) -lt "${4:-2}" ] || break
	done
	[ $n -ge "${4:-2}" ] || fail "$3: only $n leaves have it"
}

mkdir -p "$work/tree/folder"
seq 300000 >"$work/tree/folder/numbers"
fs() { # NAME MIB COMMAND...: a file system in $work/NAME
	local name=$1 size=$2
	shift 2
	truncate -s "$size"M "$work/$name"
	"$@" "$work/$name" >"$work/mkfs.log" 2>&1 || fail "$*: $(cat "$work/mkfs.log")"
}
fs ext4 300 mkfs.ext4 -q -b 4096 -d "$work/tree"
fs xfs 320 mkfs.xfs -q
fs btrfs 256 mkfs.btrfs -q -r "$work/tree"
fs ntfs 64 mkntfs -q -F -p 2048 -H 16 -S 63
fs vfat 64 mkfs.vfat -F 32

each_with "(?s)\\x53\\xef[\\x00\\x01]\\x00\\x01\\x00" "$work/ext4" "superblock of ext4"
each_with '\xc0\x3b\x39\x98\x00\x00\x00\x04' "$work/ext4" "journal of ext4" 1
each_with '\x0c\x00\x01\x02\.\x00' "$work/ext4" "directory of ext4" 1
each_with 'XFSB\x00\x00\x10\x00' "$work/xfs" "superblock of XFS"
each_with 'AB3B' "$work/xfs" "tree of XFS"
each_with 'IN\x41\xed\x03' "$work/xfs" "inode of XFS" 1
each_with '_BHRfS_M' "$work/btrfs" "superblock of btrfs"
each_with '\x01\x00\x00\x00\x00\x00\x00\x01' "$work/btrfs" "tree of btrfs"
each_with 'FILE0\x00' "$work/ntfs" "MFT of NTFS" 1
each_with 'INDX\x28\x00' "$work/ntfs" "index of NTFS" 1
each_with '\xebX.mkfs.fat' "$work/vfat" "boot sector of FAT" 1

{ head -c 512 /dev/zero; printf LABELONE; head -c $leaf /dev/zero; } >"$work/label"
drive "$work/label"
found "label of LVM"
{ printf '\xfc\x4e\x2b\xa9'; head -c $leaf /dev/zero; } >"$work/label"
drive "$work/label"
found "superblock of md"

# The same bit in a leaf that holds no such thing: one run in a hundred looks there.
drive /dev/urandom
for i in 1 2 3 4 5 6 7 8 last; do
	copy --connections 1 --verify=sample "file:$work/src" "record:$work/dst?flip=2&log=$work/writes"
	[ $status != 0 ] || break
	[ $i != last ] || fail "data is compared each time, this test shows nothing"
done
