#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Operators' scripts: before the disks are opened, in the guest's root, at the first boot of each
# kind of init; in order, with their status reported. A failing one leaves the guest as it was. The
# runner of the first boot does what it should when the guest's own shell runs it.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
name=target-worker-first-boot
seen=$work/seen

cat >"$work/pre" <<END
#!/bin/sh
echo "pre \$#" >>"$seen"
echo before all
END
cat >"$work/in" <<'END'
set -e
[ ! -e /tmp/tw-test-outside ] && [ -s /etc/fstab ]
echo "from the script" >/etc/by-script
echo inside
END
printf 'echo one >>/by-first-boot\n' >"$work/boot1"
printf '#!/bin/sh\necho two >>/by-first-boot\nexit 3\n' >"$work/boot2"
printf 'echo three >>/by-first-boot\n' >"$work/boot3"
scripts=(--extension "pre-mount=$work/pre" --extension "mounted=$work/in"
	--extension "first-boot=$work/boot1" --extension "first-boot=$work/boot2"
	--extension "first-boot=$work/boot3")

phony
pack
list before
prepare --dry-run "${scripts[@]}"
[ ! -e "$seen" ] || fail "a dry run ran a script"
is '[.plan[] | select(.kind == "script")] | length == 1'
prepare "${scripts[@]}"
[ "$status" = 0 ] || fail "prepare: exit status $status"
[ "$(cat "$seen")" = "pre 1" ] || fail "pre-mount: $(cat "$seen")"
is '[.extensions[] | [.index, .when, .status, .output]] ==
	[[0, "pre-mount", 0, "before all\n"], [1, "mounted", 0, "inside\n"]]'
is '.changes | any(.path == "/etc/by-script" and .change == "added")'
[ "$(show /etc/by-script)" = "from the script" ] || fail "the script's file"

# The first boot, by the guest's own shell in the guest's own root.
mkdir -p "$work/mnt"
disk_is_free
mount -o loop,offset=1048576 "$work/disk" "$work/mnt"
cleanup_fn "if mountpoint -q '$work/mnt'; then umount -l '$work/mnt'; fi"
link=etc/systemd/system/multi-user.target.wants/$name.service
grep -q "^ExecStart=/bin/sh /usr/lib/$name/run" "$work/mnt/$link" || fail "the unit is not wanted"
ln "$work/mnt/bin/busybox" "$work/mnt/bin/rmdir"
ln "$work/mnt/bin/busybox" "$work/mnt/bin/timeout"
mknod "$work/mnt/dev/null" c 1 3
status=0
# What BusyBox leaves to watch the time goes with its PID namespace.
unshare --pid --fork chroot "$work/mnt" /bin/sh "/usr/lib/$name/run" || status=$?
[ "$status" = 1 ] || fail "the runner ended with $status"
[ "$(tr '\n' ' ' <"$work/mnt/by-first-boot")" = "one two " ] || fail "first boot: $(cat "$work/mnt/by-first-boot")"
grep -q "03f: exit status 3" "$work/mnt/var/log/$name.log" || fail "log: $(cat "$work/mnt/var/log/$name.log")"
[ ! -e "$work/mnt/usr/lib/$name" ] && [ ! -L "$work/mnt/$link" ] &&
	[ ! -e "$work/mnt/etc/systemd/system/$name.service" ] || fail "the runner left something behind"
umount "$work/mnt"

# A failing one: the guest is as it was.
phony
pack
list before
echo 'echo broken >/etc/by-script; exit 7' >"$work/bad"
prepare --extension "mounted=$work/bad"
expect PREP_EXTENSION 7
is '.extensions[0].status == 7'
list after
same before after "a failed script left a difference"

# The other kinds of init.
phony
rm "$work/tree/lib/systemd/systemd"
mkdir -p "$work"/tree/etc/{init.d,rc3.d}
touch "$work/tree/etc/inittab"
pack
prepare --dry-run "${scripts[@]}"
is --arg p "/etc/rc3.d/S99$name" '[.plan[].path] | index($p) != null'
mkdir -p "$work"/tree/etc/runlevels/default
touch "$work/tree/sbin/openrc"
pack
prepare --dry-run "${scripts[@]}"
is --arg p "/etc/runlevels/default/$name" '[.plan[].path] | index($p) != null'
