#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks whose metadata of LVM, md and LUKS, links, fstabs and hooks were made to harm, in the released
# image: each inspection, preparation and undo ends well or with a documented code; the worker's mounts,
# files, nodes and other disks are what they were, and nothing stays open. A volume group that belongs to
# a host by an ordinary system ID is the guest's own: it is opened, prepared, and closed.
# limit: 3600
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
boot_begin
# shellcheck source=tests/boot/stack-lib.bash
. tests/boot/stack-lib.bash
hostile=$top/tests/data/hostile
mkdir "$dir/corpus"

stack_tree
printf '/dev/hostile/root / ext4 defaults 0 1\n' >"$dir/tree/etc/fstab"
sed -i 's#root=/dev/sda1#root=/dev/mapper/hostile-root#' "$dir/tree/boot/grub/grub.cfg"
stack_image "$dir/lvm.img" 44
for kind in $("$hostile/make-lvm"); do
	case $kind in
	plain | owner) "$hostile/make-lvm" "$kind" "$dir/corpus/lvm-$kind.img" "$dir/lvm.img" ;;
	*) "$hostile/make-lvm" "$kind" "$dir/corpus/lvm-$kind.img" ;;
	esac
done
printf '/dev/md0 / ext4 defaults 0 1\n' >"$dir/tree/etc/fstab"
sed -i 's#root=/dev/mapper/hostile-root#root=/dev/md0#' "$dir/tree/boot/grub/grub.cfg"
stack_image "$dir/md.img" 44
for kind in $("$hostile/make-md"); do
	case $kind in
	plain | name-*) "$hostile/make-md" "$kind" "$dir/corpus/md-$kind.img" "$dir/md.img" ;;
	*) "$hostile/make-md" "$kind" "$dir/corpus/md-$kind.img" ;;
	esac
done
# shellcheck disable=SC2013 # words
for kind in $("$hostile/make-luks"); do
	truncate -s 4M "$dir/corpus/luks-$kind.img"
done
mkdir -p "$dir/second.tree/proc"
mke2fs -q -F -t ext4 -d "$dir/second.tree" "$dir/second.img" 8192
for kind in hook:swap-proc hook:swap-dev hook:swap-sys hook:swap-loop hook:state-link hook:etc-link \
	link:dev:/proc link:etc:/ link:boot:/proc/self/root mount:/proc mount:../.. mount:/etc; do
	rm -rf "$dir/tree"
	stack_tree
	"$hostile/make-tree" "$kind" "$dir/tree"
	name=tree-${kind//[:\/]/_}.img
	tests/data/phony-disk "$dir/tree" "$dir/corpus/$name" 48
	truncate -s 56M "$dir/corpus/$name"
	echo '48M,8M,L' | sfdisk -q --append "$dir/corpus/$name"
	dd if="$dir/second.img" of="$dir/corpus/$name" bs=1M seek=48 conv=notrunc,sparse status=none
done
truncate -s 2G "$dir/corpus.img"
mke2fs -q -F -t ext4 -d "$dir/corpus" "$dir/corpus.img"
truncate -s 4M "$dir/other.disk"
head -c 4M /dev/urandom >"$dir/other.disk"

stack_worker <<'END'
tell allow 3600
mkdir -p /mnt/corpus
mount -t ext4 /dev/vda /mnt/corpus || fail "no corpus"
printf secret >/run/key
for kind in $(make-luks); do
	check "format $kind" make-luks "$kind" "/mnt/corpus/luks-$kind.img" /run/key
done
look() {
	cut -d" " -f4- /proc/self/mountinfo
	ls -l / | grep -vE ' (dev|mnt|proc|run|sys|tmp)$'
	ls -l /bin /sbin /etc /usr /usr/bin /usr/sbin /var
	# Nodes without their times; those of loop, dm and md come and go.
	ls -l /dev /dev/mapper /dev/shm | grep -vE ' (loop[0-9]+(p[0-9]+)?|dm-[0-9]+|md[0-9]*)$|^total' |
		sed -E 's/ +[0-9]+ [A-Z][a-z][a-z] +[0-9]+ [0-9:]+ / /'
	sum /dev/vdb
}
job() { printf '{"version":1,"migration":"m","mode":"prepare","drives":[{"target":{"device":"%s"}}],"prepare":{"nvram":false,"undo":%s,"tool_timeout_s":300%s},"finish":"poweroff"}' "$1" "$2" "$3" >/run/job.json; }
judge() { # NAME: neither a signal nor a shell's word for one
	echo $2 >"/mnt/out/$1.rc"
	[ "$2" -lt 126 ] || fail "$1: status $2"
	idle || fail "$1: something stays open"
	look >/run/after
	cmp -s /run/before /run/after || { diff /run/before /run/after; fail "$1: this machine is not what it was"; }
}
run() { # NAME DISK UNDO KEYS
	job "$2" "$3" "$4"
	env -u TW_INIT_FD /bin/tw run --job /run/job.json --result "/mnt/out/$1.json" >"/mnt/out/$1.err" 2>&1
	judge "$1" $?
}
look >/run/before
for disk in /mnt/corpus/*.img; do
	name=${disk##*/}
	name=${name%.img}
	keys=
	opt=
	case $name in
	luks-*) keys=',"keys":[{"key":"secret"}]'; opt="--key /run/key" ;;
	esac
	/bin/tw inspect --json $opt "$disk" >"/mnt/out/$name-inspect.json" 2>"/mnt/out/$name-inspect.err"
	judge "$name-inspect" $?
	run "$name-prepare" "$disk" false "$keys"
	run "$name-undo" "$disk" true "$keys"
	echo "$name: $(cat "/mnt/out/$name-inspect.rc" "/mnt/out/$name-prepare.rc" "/mnt/out/$name-undo.rc" | tr '\n' ' ')at $(cut -d" " -f1 /proc/uptime) s"
done
umount /mnt/corpus
END
printf 'file /bin/make-luks %s 0755 0 0\n' "$hostile/make-luks" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
qemu_machine 320
qemu_disk "$dir/corpus.img"
qemu_disk "$dir/other.disk"
stack_limit=600
stack_out=96
stack_run

# Each ended well, or with a code of the table that is nobody's defect.
codes=$(sed -n 's/^X(\([A-Z0-9_]*\),.*/\1/p' worker/base/err-codes.h)
count=0
for rc in "$dir"/out/*.rc; do
	name=${rc##*/}
	name=${name%.rc}
	code=$(jq -r '(.err // .error // {}).code // "NONE"' "$dir/out/$name.json")
	[ -n "$code" ] || fail "$name: no report"
	case $code in
	INTERNAL | NOMEM | DISK_BUSY) fail "$name: $code: $(jq -c '.err // .error' "$dir/out/$name.json")" ;;
	NONE) [ "$(cat "$rc")" = 0 ] || fail "$name: status $(cat "$rc") without a code" ;;
	*) grep -qx "$code" <<<"$codes" || fail "$name: $code is not documented" ;;
	esac
	count=$((count + 1))
done
[ $count -gt 150 ] || fail "only $count runs"
says() { jq -e --arg re "$2" '(.err // .error).text | test($re)' "$dir/out/$1.json" >"$dir/jq.log" ||
	fail "$1: $(jq -c '.err // .error // .verdict' "$dir/out/$1.json")"; }
ends() { [ "$(cat "$dir/out/$1.rc")" = "$2" ] || fail "$1: status $(cat "$dir/out/$1.rc"), not $2"; }
for kind in lvm-plain lvm-owner md-plain md-name-path md-name-option md-name-number \
	tree-hook_swap-proc tree-hook_swap-dev tree-hook_swap-sys tree-hook_swap-loop; do
	for run in inspect prepare undo; do ends "$kind-$run" 0; done
done
is lvm-owner-inspect '.warnings | any(test("belongs to the system ID node1.example.com"))'
for kind in config quote json file localhost long; do
	says "lvm-owner-$kind-inspect" "system ID is none that LVM allows"
done
for kind in backslash lines; do
	says "lvm-owner-$kind-inspect" "text that LVM does not allow"
done
for kind in option lines; do
	says "lvm-volume-$kind-inspect" "LVM does not allow"
done
for kind in mapper shm null; do
	says "lvm-group-$kind-inspect" "this machine has a /dev/$kind of its own"
done
for kind in path option lines blank empty; do
	says "luks-$kind-inspect" "its UUID is none"
done
says luks-long-inspect "ended with status|: [A-Z]"
says md-offset-inspect "read /dev/md0: "
[ "$(jq -r .error.code "$dir/out/md-offset-inspect.json")" = PREP_STACK ] ||
	fail "an array that leads out of its disk is told as a disk that fails"
