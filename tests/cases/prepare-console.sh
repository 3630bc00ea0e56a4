#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests with consoles that KVM has not got: the screen takes their place on kernel command lines of
# each loader, logins on them are switched off (inittab, systemd, upstart), what is there stays. With
# --console=serial one on the serial port is added. A second run changes nothing, undo is exact.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

# console NAME [OPTION...]: prepares the tree, again, and takes it back; what it made is in $work/made
console()
{
	local name=$1

	shift
	pack
	list before
	prepare "$@"
	[ "$status" = 0 ] || fail "$name: exit status $status, $(jq -c .error "$work/report.json")"
	is '.verdict == "boots"'
	cp "$work/report.json" "$work/first.json"
	rm -rf "$work/made"
	within "cp -a . '$work/made'"
	prepare "$@"
	is '.plan == [] and .changes == []'
	prepare --undo
	[ "$status" = 0 ] || fail "$name: undo: exit status $status"
	list undone
	same before undone "$name: undo left a difference"
	guest=$name
}
# has FILE LINE: the prepared guest's file has this line, blanks at its beginning aside
has()
{
	sed 's/^[[:space:]]*//' "$work/made$1" >"$work/lines"
	grep -qxF -- "$2" "$work/lines" || fail "$guest: $1 has no line '$2': $(grep -v '^#' "$work/lines")"
}
# planned PATH KIND
planned()
{
	jq -e --arg p "$1" --arg k "$2" '.plan | any(.path == $p and .kind == $k)' "$work/first.json" \
		>"$work/jq.log" || fail "$guest: plan has no $2 of $1"
}
edit()
{
	cp "$work/tree$2" "$work/old"
	sed -i "$1" "$work/tree$2"
	! cmp -s "$work/old" "$work/tree$2" || fail "$2 has no '$1'"
}
family() { tests/data/phony-family "$1" "$work/tree"; }
wants=/etc/systemd/system/getty.target.wants

# Debian's GRUB, systemd: Xen's console after the screen, alone, and with options.
debian()
{
	phony
	edit 's/ ro quiet/ ro console=tty0 console=hvc0 quiet/' /boot/grub/grub.cfg
	printf 'menuentry old {\n\tlinux /boot/vmlinuz-%s root=/dev/sda1 console=xvc0,9600 console=ttyS0,9600 single\n\tinitrd /boot/initrd.img-%s\n}\n' \
		"$kernel" "$kernel" >>"$work/tree/boot/grub/grub.cfg"
	edit 's/="quiet"/="quiet console=hvc0"/' /etc/default/grub
	mkdir -p "$work/tree$wants"
	for name in getty@hvc0 serial-getty@hvc0 getty@tty1 serial-getty@ttyS0; do
		ln -s "/lib/systemd/system/${name%@*}@.service" "$work/tree$wants/$name.service"
	done
}
debian
console debian
has /boot/grub/grub.cfg "linux	/boot/vmlinuz-$kernel root=UUID=$uuid ro console=tty0 quiet"
has /boot/grub/grub.cfg "linux /boot/vmlinuz-$kernel root=UUID=$uuid console=tty0 console=ttyS0,9600 single"
has /etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet console=tty0"'
has /etc/default/grub "GRUB_CMDLINE_LINUX=\"root=UUID=$uuid\""
has /etc/default/grub 'GRUB_DISABLE_LINUX_UUID=false'
[ "$(cd "$work/made$wants" && echo *)" = 'getty@tty1.service serial-getty@ttyS0.service' ] ||
	fail "debian: links to $(cd "$work/made$wants" && echo *)"
planned "$wants/serial-getty@hvc0.service" remove
jq -e '.plan | any(.path == "/boot/grub/grub.cfg" and (.why | test("UUID; consoles")))' "$work/first.json" \
	>"$work/jq.log" || fail "debian: the plan does not tell why: $(jq -c '.plan[]' "$work/first.json")"

debian
edit 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX=""/; s/ console=hvc0//' /etc/default/grub
console debian-serial --console=serial
has /boot/grub/grub.cfg \
	"linux	/boot/vmlinuz-$kernel root=UUID=$uuid ro console=tty0 console=ttyS0,115200 quiet"
has /boot/grub/grub.cfg "linux /boot/vmlinuz-$kernel root=UUID=$uuid console=tty0 console=ttyS0,9600 single"
has /etc/default/grub 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"'
has /etc/default/grub 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"'

# A guest whose consoles are all there is left alone.
phony
edit 's/ ro quiet/ ro console=tty0 console=ttyS0,115200n8 console=ttyprintk quiet/' /boot/grub/grub.cfg
console settled
has /boot/grub/grub.cfg \
	"linux	/boot/vmlinuz-$kernel root=UUID=$uuid ro console=tty0 console=ttyS0,115200n8 console=ttyprintk quiet"
jq -e '.plan | all(.step != "console")' "$work/first.json" >"$work/jq.log" || fail "settled: a console is planned"

# Fedora's entries, one made by grubby, and what kernel-install makes the next one from.
bls()
{
	family fedora
	edit 's/ ro rhgb quiet/ ro rhgb console=ttyS1,115200n8 console=ttyAMA0/' \
		"/boot/loader/entries/0123456789abcdef-6.8.5-301.fc40.x86_64.conf"
	mkdir "$work/tree/etc/kernel"
	echo 'root=/dev/sda1 ro console=hvc0 rhgb' >"$work/tree/etc/kernel/cmdline"
	edit 's/ crashkernel=auto/ console=xvc0/' /etc/default/grub
}
entry=/boot/loader/entries/0123456789abcdef-6.8.5-301.fc40.x86_64.conf
bls
console fedora
has $entry "options root=UUID=$uuid ro rhgb console=tty0"
has /etc/kernel/cmdline "root=UUID=$uuid ro console=tty0 rhgb"
has /etc/default/grub "GRUB_CMDLINE_LINUX=\"root=UUID=$uuid console=tty0\""
bls
console fedora-serial --console=serial
has $entry "options root=UUID=$uuid ro rhgb console=tty0 console=ttyS0,115200"
has /etc/kernel/cmdline "root=UUID=$uuid ro console=tty0 console=ttyS0,115200 rhgb"
has /etc/default/grub "GRUB_CMDLINE_LINUX=\"root=UUID=$uuid console=tty0 console=ttyS0,115200\""

# Command lines in grubenv: the block keeps its size, the entry that only names the variable stays.
family rhel8
edit 's/ ro crashkernel/ ro console=hvc0 crashkernel/; s/#############$//' /boot/grub2/grubenv
[ "$(stat -c %s "$work/tree/boot/grub2/grubenv")" = 1024 ] || fail "rhel8: the block of the test is broken"
console rhel8 --console=serial
grep -qaF "kernelopts=root=UUID=$uuid ro console=tty0 console=ttyS0,115200 crashkernel=auto" \
	"$work/made/boot/grub2/grubenv" || fail "rhel8: $(head -n 3 "$work/made/boot/grub2/grubenv")"
[ "$(stat -c %s "$work/made/boot/grub2/grubenv")" = 1024 ] || fail "rhel8: grubenv has another size"
# shellcheck disable=SC2016 # a variable of GRUB
grep -qx 'options $kernelopts $tuned_params' "$work"/made/boot/loader/entries/*.conf || fail "rhel8: the entry changed"

# GRUB legacy and upstart.
family centos6
edit 's/ rhgb quiet/ console=xvc0/' /boot/grub/grub.conf
printf 'start on stopped rc RUNLEVEL=[2345]\nrespawn\nexec /sbin/agetty xvc0 9600\n' >"$work/tree/etc/init/xvc0.conf"
printf 'exec /sbin/mingetty tty1\n' >"$work/tree/etc/init/tty1.conf"
console centos6
has /boot/grub/grub.conf "kernel /boot/vmlinuz-2.6.32-754.el6.x86_64 ro root=UUID=$uuid console=tty0"
planned /etc/init/xvc0.conf remove
[ ! -e "$work/made/etc/init/xvc0.conf" ] && [ -e "$work/made/etc/init/tty1.conf" ] || fail "centos6: upstart's jobs"

# inittab of System V: with a login on the screen the others go, else one moves there.
inittab=/etc/inittab
sysv()
{
	family sles11
	{
		printf 'id:3:initdefault:\nsi::bootwait:/etc/init.d/boot\n%s' "$1"
		printf '#x9:2345:respawn:/sbin/agetty -L 9600 hvc0\nco:2345:respawn:/sbin/agetty -L 9600 xvc0 xterm\nh1:2345:respawn:/sbin/agetty -L 9600 hvc1\n'
	} >"$work/tree$inittab"
}
sysv $'1:2345:respawn:/sbin/mingetty --noclear tty1\nS0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt102\n'
console sles11 --console=serial
diff - "$work/made$inittab" >"$work/diff" <<'TEXT' || fail "sles11: $inittab: $(cat "$work/diff")"
id:3:initdefault:
si::bootwait:/etc/init.d/boot
1:2345:respawn:/sbin/mingetty --noclear tty1
S0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt102
#x9:2345:respawn:/sbin/agetty -L 9600 hvc0
# target-worker: co:2345:respawn:/sbin/agetty -L 9600 xvc0 xterm
# target-worker: h1:2345:respawn:/sbin/agetty -L 9600 hvc1
TEXT
sysv ''
printf 'hvc0\n# tty1' >"$work/tree/etc/securetty"
console sles11-alone --console=serial
printf 'hvc0\n# tty1\ntty1\nttyS0\n' | cmp - "$work/made/etc/securetty" || fail "securetty: $(cat "$work/made/etc/securetty")"
diff - "$work/made$inittab" >"$work/diff" <<'TEXT' || fail "sles11-alone: $inittab: $(cat "$work/diff")"
id:3:initdefault:
si::bootwait:/etc/init.d/boot
#x9:2345:respawn:/sbin/agetty -L 9600 hvc0
co:2345:respawn:/sbin/agetty -L 9600 tty1 xterm
# target-worker: h1:2345:respawn:/sbin/agetty -L 9600 hvc1
tw:2345:respawn:/sbin/agetty -L ttyS0 115200 vt100
TEXT

# What allows root what it needs is left.
sysv ''
printf 'tty1\nttyS0\nhvc0\n' >"$work/tree/etc/securetty"
console securetty --console=serial
printf 'tty1\nttyS0\nhvc0\n' | cmp - "$work/made/etc/securetty" || fail "securetty was changed without need"
sysv ''
printf 'tty2\n' >"$work/tree/etc/securetty"
console securetty-keep
echo tty2 | cmp - "$work/made/etc/securetty" || fail "a console was allowed to root that nobody asked for"

# extlinux and BusyBox's init, whose lines begin with the device.
family alpine
edit 's/ quiet/ console=hvc0/' /boot/extlinux.conf
printf '::sysinit:/sbin/openrc sysinit\nhvc0::respawn:/sbin/getty -L hvc0 115200 vt100\n' >"$work/tree$inittab"
touch "$work/tree/sbin/getty"
console alpine --console=serial
has /boot/extlinux.conf "APPEND root=UUID=$uuid modules=sd-mod,ext4 console=tty0 console=ttyS0,115200"
has $inittab 'tty1::respawn:/sbin/getty -L tty1 115200 vt100'
has $inittab 'ttyS0::respawn:/sbin/getty -L ttyS0 115200 vt100'

status=0
"$worker" prepare --console=hvc0 "$work/disk" >"$work/usage.log" 2>&1 || status=$?
[ "$status" = 2 ] && grep -q 'keep or serial' "$work/usage.log" || fail "--console=hvc0: $status, $(cat "$work/usage.log")"
