#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Encrypted roots: LVM on LUKS2 (Argon2) and LUKS1 on LVM. Without a key, with a wrong one, with the
# right one among others, with one that is named. The volume opens under the name of crypttab, is
# prepared under it, and nothing stays open; the key is nowhere afterwards.
# limit: 1200
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash

one=11111111-2222-4333-8444-555555555501 two=11111111-2222-4333-8444-555555555502
stack_tree
printf '/dev/mapper/deb-root / ext4 defaults 0 1\n' >"$dir/tree/etc/fstab"
printf '# name device key options\ncryptpv UUID=%s none luks\n' $one >"$dir/tree/etc/crypttab"
sed -i 's#root=/dev/sda1#root=/dev/mapper/deb-root#' "$dir/tree/boot/grub/grub.cfg"
stack_image "$dir/one.img" 44
printf '/dev/mapper/cryptroot / ext4 defaults 0 1\n' >"$dir/tree/etc/fstab"
printf 'cryptroot /dev/mapper/two-lv none luks\n' >"$dir/tree/etc/crypttab"
sed -i 's#root=/dev/mapper/deb-root#root=/dev/mapper/cryptroot#' "$dir/tree/boot/grub/grub.cfg"
stack_image "$dir/two.img" 44
truncate -s 72M "$dir/a.disk" "$dir/b.disk"
printf 'label: gpt\ntype=linux\n' | sfdisk -q "$dir/a.disk"
printf 'label: gpt\ntype=linux\n' | sfdisk -q "$dir/b.disk"

stack_worker <<END
printf secret-one >/run/one
printf 'secret-one\n' >/run/one.text
printf wrong >/run/wrong
dd if=/dev/urandom of=/run/two bs=512 count=1
check format cryptsetup luksFormat -q --type luks2 --uuid $one --pbkdf argon2id --pbkdf-memory 4096 --pbkdf-force-iterations 4 --pbkdf-parallel 2 /dev/vda1 /run/one
for token in systemd-tpm2 other clevis; do
	echo "{\\"type\\":\\"\$token\\",\\"keyslots\\":[\\"0\\"]}" >/run/token
	check token cryptsetup token import --json-file /run/token /dev/vda1
done
check open cryptsetup open --key-file /run/one /dev/vda1 made
check pvcreate lvm pvcreate -q /dev/mapper/made
check vgcreate lvm vgcreate -q deb /dev/mapper/made
check lvcreate lvm lvcreate -q -Zn -L 44M -n root deb
dd if=/dev/vdc of=/dev/deb/root bs=1M
check down lvm vgchange -an deb
check close cryptsetup close made
check pvcreate lvm pvcreate -q /dev/vdb1
check vgcreate lvm vgcreate -q two /dev/vdb1
check lvcreate lvm lvcreate -q -Zn -L 48M -n lv two
check format cryptsetup luksFormat -q --type luks1 --uuid $two --pbkdf-force-iterations 1000 /dev/two/lv /run/two
check open cryptsetup open --key-file /run/two /dev/two/lv made
dd if=/dev/vdd of=/dev/mapper/made bs=1M
check close cryptsetup close made
check down lvm vgchange -an two
sync
before=\$(sum /dev/vda /dev/vdb)
want 7 none inspect --json /dev/vda
want 7 wrong inspect --json --key /run/wrong /dev/vda
want 7 named inspect --json --key $one=/run/wrong /dev/vda
want 0 one inspect --json --key /run/wrong --key /run/one.text /dev/vda
want 0 two inspect --json --key /dev/mapper/two-lv=/run/two /dev/vdb
check "looking changed the disks" [ "\$before" = "\$(sum /dev/vda /dev/vdb)" ]
check "a layer stays open" idle
want 0 apply prepare --json --key $one=/run/one /dev/vda
want 0 again prepare --json --key $one=/run/one /dev/vda
want 0 apply2 prepare --json --key /run/two /dev/vdb
check "a layer stays open after preparing" idle
grep -rl secret-one /mnt/out /tmp && fail "the key is in a file"
# Nor in the guest: its files, what undo needs, the journal of its file system.
check open cryptsetup open --key-file /run/one /dev/vda1 made
check up lvm vgchange -ay deb
tr -d '\0' </dev/deb/root >/run/guest # zeroes would be one line
grep -q 'ID=debian' /run/guest || fail "the guest cannot be read"
grep -q secret-one /run/guest && fail "the key is in the guest"
rm /run/guest
check down lvm vgchange -an deb
check close cryptsetup close made
END
qemu_machine 320
for disk in a.disk b.disk one.img two.img; do
	qemu_disk "$dir/$disk"
done
stack_run

for run in none wrong named; do
	is $run '.error.code == "PREP_KEY" and (.error.text | test("/dev/vda1"))'
done
is none '.error.text | test("no key for it was given")'
is one '[.facts.layers[] | .kind + " " + .name] == ["luks cryptpv", "lvm deb"]'
is one '.facts.layers[0].tokens == "systemd-tpm2 other clevis"'
is one '[.warnings[] | select(test("bound to the old machine"))] |
	map(split(" ") | .[0] + " " + .[5]) == ["/dev/vda1 systemd-tpm2,", "/dev/vda1 clevis,"]'
is two '(.facts.layers[1] | has("tokens") | not) and .warnings == []'
is one '.facts.layers[1].on == ["/dev/mapper/cryptpv"]'
is one '[.facts.mounts[].device] == ["/dev/mapper/deb-root"] and .facts.os.id == "debian"'
is two '[.facts.layers[] | .kind + " " + .name] == ["lvm two", "luks cryptroot"]'
is two '[.facts.mounts[].device] == ["/dev/mapper/cryptroot"]'
is apply '.verdict == "boots" and .changes != []'
is again '.changes == []'
is apply2 '.verdict == "boots" and .changes != []'
