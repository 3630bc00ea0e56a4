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
cat >"$work/over" <<'END'
set -e
[ $# = 1 ]
[ -s "$1/etc/by-script" ]
echo "over the guest" >"$1/etc/by-worker"
echo outside
END
printf 'echo one >>/by-first-boot\n' >"$work/boot1"
printf '#!/bin/sh\necho two >>/by-first-boot\nexit 3\n' >"$work/boot2"
printf 'echo three >>/by-first-boot\n' >"$work/boot3"
scripts=(--extension "pre-mount=$work/pre" --extension "mounted=$work/in"
	--extension "mounted-worker=$work/over" --extension "first-boot=$work/boot1" --extension "first-boot=$work/boot2"
	--extension "first-boot=$work/boot3")

phony
pack
list before
prepare --dry-run "${scripts[@]}"
[ ! -e "$seen" ] || fail "a dry run ran a script"
is '[.plan[] | select(.kind == "script")] | length == 2'
prepare "${scripts[@]}"
[ "$status" = 0 ] || fail "prepare: exit status $status"
[ "$(cat "$seen")" = "pre 1" ] || fail "pre-mount: $(cat "$seen")"
is '[.extensions[] | [.index, .when, .status, .output]] ==
	[[0, "pre-mount", 0, "before all\n"], [1, "mounted", 0, "inside\n"],
	[2, "mounted-worker", 0, "outside\n"]]'
is '.changes | any(.path == "/etc/by-script" and .change == "added")'
[ "$(show /etc/by-script)" = "from the script" ] || fail "the script's file"
is '.changes | any(.path == "/etc/by-worker" and .change == "added")'
[ "$(show /etc/by-worker)" = "over the guest" ] || fail "the file of the script in the worker"

# enter: the disk at $work/mnt, with what a shell needs that a phony guest has not got
enter()
{
	mkdir -p "$work/mnt"
	disk_is_free
	mount -o loop,offset=1048576 "$work/disk" "$work/mnt"
	for tool in rmdir timeout; do ln "$work/mnt/bin/busybox" "$work/mnt/bin/$tool"; done
	mknod "$work/mnt/dev/null" c 1 3
}
cleanup_fn "if mountpoint -q '$work/mnt'; then umount -l '$work/mnt'; fi"
# first_boot COMMAND...: what the guest's init calls, by the guest's own shell in the guest's own root.
# What BusyBox leaves to watch the time goes with its PID namespace.
first_boot() { unshare --pid --fork chroot "$work/mnt" "$@" >"$work/first-boot.log" 2>&1; }
# ran FILE...: the scripts ran up to the fatal one, and nothing of the runner is left, nor these
ran()
{
	[ "$(tr '\n' ' ' <"$work/mnt/by-first-boot")" = "one two " ] || fail "first boot: $(cat "$work/mnt/by-first-boot")"
	grep -q "04f: exit status 3" "$work/mnt/var/log/$name.log" || fail "log: $(cat "$work/mnt/var/log/$name.log")"
	for file in "usr/lib/$name" "$@"; do
		if [ -e "$work/mnt/$file" ] || [ -L "$work/mnt/$file" ]; then fail "the runner left $file behind"; fi
	done
}

enter
link=etc/systemd/system/multi-user.target.wants/$name.service
grep -q "^ExecStart=/bin/sh /usr/lib/$name/run" "$work/mnt/$link" || fail "the unit is not wanted"
status=0
first_boot /bin/sh "/usr/lib/$name/run" || status=$?
[ "$status" = 1 ] || fail "the runner ended with $status"
ran "$link" "etc/systemd/system/$name.service"
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

# System V: only at the start, from the link of the runlevel.
phony
rm "$work/tree/lib/systemd/systemd"
mkdir -p "$work"/tree/etc/{init.d,rc2.d,rc3.d,rc6.d}
touch "$work/tree/etc/inittab"
pack
prepare "${scripts[@]}"
[ "$status" = 0 ] || fail "System V: exit status $status"
is --arg p "/etc/rc3.d/S99$name" '[.plan[].path] | index($p) != null'
enter
[ ! -e "$work/mnt/etc/rc6.d/S99$name" ] || fail "the scripts would run at a reboot"
first_boot "/etc/rc3.d/S99$name" stop || fail "stop: $(cat "$work/first-boot.log")"
[ ! -e "$work/mnt/by-first-boot" ] || fail "the scripts ran at a stop"
status=0
first_boot "/etc/rc3.d/S99$name" start || status=$?
[ "$status" = 1 ] || fail "System V: start ended with $status: $(cat "$work/first-boot.log")"
ran "etc/init.d/$name" "etc/rc2.d/S99$name" "etc/rc3.d/S99$name"
umount "$work/mnt"

# OpenRC reads the script with its own program, which calls start.
phony
rm "$work/tree/lib/systemd/systemd"
mkdir -p "$work"/tree/etc/{init.d,runlevels/default}
touch "$work/tree/sbin/openrc" "$work/tree/etc/inittab"
cat >"$work/tree/sbin/openrc-run" <<'END'
#!/bin/sh
ebegin() { echo "begin: $*"; }
eend() { return "$1"; }
. "$1"
"$2"
END
chmod 755 "$work/tree/sbin/openrc-run"
pack
prepare "${scripts[@]}"
[ "$status" = 0 ] || fail "OpenRC: exit status $status"
is --arg p "/etc/runlevels/default/$name" '[.plan[].path] | index($p) != null'
enter
status=0
first_boot "/etc/runlevels/default/$name" start || status=$?
[ "$status" = 1 ] || fail "OpenRC: start ended with $status: $(cat "$work/first-boot.log")"
grep -q '^begin: Scripts for the first boot' "$work/first-boot.log" || fail "OpenRC: $(cat "$work/first-boot.log")"
ran "etc/init.d/$name" "etc/runlevels/default/$name"
umount "$work/mnt"
