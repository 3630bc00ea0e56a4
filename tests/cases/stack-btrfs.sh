#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Roots in btrfs subvolumes: by fstab (Ubuntu), by the default subvolume (Fedora, openSUSE with
# snapper), with /usr in another one, two systems in one file system, and one file system on two disks. Snapshots of a root
# are no systems.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires mkfs.btrfs btrfs
uuid=$(cat /proc/sys/kernel/random/uuid) # mkfs.btrfs refuses one that is in use

phony
tree=$work/tree
sed -i 's#^/dev/sda1.*#UUID='"$uuid"' / btrfs defaults,subvol=@ 0 0\nUUID='"$uuid"' /home btrfs subvol=/@home,compress=zstd 0 0#' \
	"$tree/etc/fstab"
sed -i "s#root=/dev/sda1#root=UUID=$uuid rootflags=subvol=@#" "$tree/boot/grub/grub.cfg" "$tree/etc/default/grub"
# As grub-mkconfig names files of a btrfs: from the top of the file system.
sed -i 's#/boot/\(vmlinuz\|initrd\)#/@/boot/\1#' "$tree/boot/grub/grub.cfg"
grep -q 'linux.*/@/boot/vmlinuz' "$tree/boot/grub/grub.cfg" || fail "grub.cfg names no kernel in the subvolume"
mkdir "$tree/home"
loops=()
release()
{
	if mountpoint -q "$work/mnt"; then umount "$work/mnt"; fi
	for loop in "${loops[@]}"; do losetup -d "$loop"; done
	loops=()
}
cleanup_fn release

# make FILE...: one btrfs over the files, its top at $work/mnt
make()
{
	local file

	disk_is_free # else mkfs still finds the UUID there, in a file without a name
	rm -f "$@"
	btrfs device scan --forget # one UUID, many file systems: of disks that are gone, too
	mkdir -p "$work/mnt"
	for file; do
		truncate -s 160M "$file"
		loops+=("$(losetup --show -f "$file")")
	done
	mkfs.btrfs -q -f -U "$uuid" "${loops[@]}"
	btrfs device scan "${loops[@]}" >"$work/scan.log"
	mount -t btrfs "${loops[0]}" "$work/mnt"
}
done_with() { sync; release; }
sub() { btrfs -q subvolume create "$work/mnt/$1"; }
fill() { cp -a "$tree/." "$work/mnt/$1/"; }
default() { btrfs subvolume set-default "$work/mnt/$1"; }

make "$work/disk"
sub @ && sub @home && fill @
btrfs -q subvolume snapshot "$work/mnt/@" "$work/mnt/@before-upgrade"
btrfs -q subvolume snapshot -r "$work/mnt/@" "$work/mnt/timeshift"
done_with
sum=$(sha256sum <"$work/disk")
inspect
is '.facts.systems == [{device: .facts.mounts[0].device, subvolume: "@", name: "Phony Debian 12", chosen: true}]'
is '[.facts.mounts[].point] == ["/", "/home"]'
[ "$(sha256sum <"$work/disk")" = "$sum" ] || fail "looking changed the file system"
prepare
[ "$status" = 0 ] || fail "prepare: $(cat "$work/prepare.log")"
is '.verdict == "boots" and ([.changes[].path] | index("/etc/fstab"))'
prepare
is '.changes == []'
prepare --undo
is '.verdict == "undone"'

# /usr in a subvolume of its own, as some installers of Arch make it.
cp -a "$tree" "$work/whole"
for dir in bin sbin lib; do
	mkdir -p "$tree/usr/$dir"
	cp -a "$tree/$dir/." "$tree/usr/$dir/"
	rm -r "${tree:?}/$dir"
	ln -s usr/$dir "$tree/$dir"
done
echo "UUID=$uuid /usr btrfs subvol=@usr 0 0" >>"$tree/etc/fstab"
make "$work/disk"
sub @ && sub @home && fill @ && sub @usr
mv "$work/mnt/@/usr"/* "$work/mnt/@usr/"
done_with
prepare
[ "$status" = 0 ] || fail "/usr in a subvolume: $(cat "$work/prepare.log")"
is '[.facts.mounts[].point] == ["/", "/usr", "/home"] and .verdict == "boots" and (.facts.kernels | length == 1)'
prepare --undo
is '.verdict == "undone"'
rm -r "$tree"
mv "$work/whole" "$tree"

# Fedora: the default subvolume is the one that fstab names. It is found once.
make "$work/disk"
fedora=root # the name of its subvolume
sub $fedora && fill $fedora && default $fedora
sed -i "s#subvol=@ #subvol=$fedora #; /@home/d" "$work/mnt/$fedora/etc/fstab"
done_with
inspect
is '[.facts.systems[].subvolume] == ["root"]'

# openSUSE: fstab names no subvolume for the root; the default one is a snapshot among others.
make "$work/disk"
sub @ && sub @/.snapshots
for n in 1 2; do
	mkdir "$work/mnt/@/.snapshots/$n"
	sub "@/.snapshots/$n/snapshot"
	fill "@/.snapshots/$n/snapshot"
	sed -i 's#,subvol=@ # #; /@home/d' "$work/mnt/@/.snapshots/$n/snapshot/etc/fstab"
done
default @/.snapshots/2/snapshot
done_with
inspect
is '.facts.systems | length == 1 and (.[0] | has("subvolume") | not)'

# Two systems: listed, never guessed; the operator names one.
make "$work/disk"
sub @ && fill @ && sub @other && fill @other
sed -i 's#subvol=@ #subvol=@other #' "$work/mnt/@other/etc/fstab"
sed -i 's/Phony Debian 12/Other 9/' "$work/mnt/@other/etc/os-release"
sed -i '/@home/d' "$work/mnt/@/etc/fstab" "$work/mnt/@other/etc/fstab"
done_with
inspect
expect PREP_MULTI_SYSTEM 7
is '.error.text | test("subvol=@ \\(Phony Debian 12\\), .*subvol=@other \\(Other 9\\)")'
inspect --root "UUID=$uuid,subvol=@other"
is '.facts.os.name == "Other 9" and [.facts.systems[].chosen] == [false, true]'

# Two disks. One of them alone cannot be mounted, and that is said.
make "$work/disk" "$work/second"
sub @ && sub @home && fill @
done_with
"$worker" inspect --json "$work/disk" "$work/second" >"$work/report.json" 2>"$work/prepare.log" ||
	fail "two disks: $(cat "$work/prepare.log")"
is '[.facts.systems[].subvolume] == ["@"] and ([.facts.volumes[] | select(.type == "btrfs")] | length == 2)'
inspect
expect FS_MOUNT 7 # its other half is missing
is '[.warnings[] | select(test("btrfs"))] | length > 0'
