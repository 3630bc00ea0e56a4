#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# qemu-guest-agent on request: the first boot installs it with the package manager of the guest, tries
# again when that fails, leaves nothing of itself and does not fail; where the agent is, nothing is done.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
dir=/usr/lib/target-worker-first-boot
log=/var/log/target-worker-first-boot.log

# manager PATH WORKS: each call is noted; the one numbered WORKS that installs brings the agent.
manager()
{
	cat >"$work/tree$1" <<-END
		#!/bin/sh
		echo "\${0##*/} \$*" >>/calls
		case " \$* " in *qemu-guest-agent*) echo x >>/installs ;; *) exit 0 ;; esac
		[ "\$(cat /installs | grep -c x)" = $2 ] || exit 1
		echo agent >/usr/bin/qemu-ga
		chmod 755 /usr/bin/qemu-ga
	END
	chmod 755 "$work/tree$1"
}

# first_boot: what the guest's shell does at its first boot goes to $work/{calls,log}
first_boot()
{
	mkdir -p "$work/mnt"
	disk_is_free
	mount -o loop,offset=1048576 "$work/disk" "$work/mnt"
	cleanup_fn "if mountpoint -q '$work/mnt'; then umount -l '$work/mnt'; fi"
	for name in rmdir timeout; do
		[ -e "$work/mnt/bin/$name" ] || ln "$work/mnt/bin/busybox" "$work/mnt/bin/$name"
	done
	rm -f "$work"/mnt/{bin,usr/bin}/sleep
	# shellcheck disable=SC2016 # for the guest's shell
	printf '#!/bin/sh\necho "sleep $*" >>/calls\n' >"$work/mnt/bin/sleep"
	chmod 755 "$work/mnt/bin/sleep"
	[ -e "$work/mnt/dev/null" ] || mknod "$work/mnt/dev/null" c 1 3
	status=0
	unshare --pid --fork chroot "$work/mnt" /bin/sh "$dir/run" || status=$?
	[ "$status" = 0 ] || fail "$1: the runner ended with $status: $(cat "$work/mnt$log")"
	cp "$work/mnt/calls" "$work/calls"
	cp "$work/mnt$log" "$work/log"
	[ ! -e "$work/mnt$dir" ] || fail "$1: the runner left something behind"
	[ ! -e "$work/mnt/etc/systemd/system/target-worker-first-boot.service" ] || fail "$1: the unit stayed"
	umount "$work/mnt"
}
called() { [ "$(cat "$work/calls")" = "$2" ] || fail "$1: called: $(cat "$work/calls")"; }

# Debian: at the second attempt.
phony
manager /usr/bin/apt-get 2
pack
list before
prepare
is '[.plan[] | select(.path | tostring | test("first-boot"))] == []'
prepare --undo
prepare --dry-run --guest-agent
is --arg p "$dir/90-agent" '.plan | any(.path == $p and .kind == "write")'
prepare --guest-agent
[ "$status" = 0 ] || fail "prepare: exit status $status"
is --arg p "$dir/90-agent" '.changes | any(.path == $p and .change == "added")'
prepare --guest-agent
is '.verdict == "boots" and .plan == [] and .changes == []'
prepare --undo
list undone
same before undone "undo left a difference"
prepare --guest-agent
first_boot debian
called debian "apt-get update
apt-get -y install qemu-guest-agent
sleep 10
apt-get update
apt-get -y install qemu-guest-agent"
grep -qx 'qemu-guest-agent is installed' "$work/log" || fail "log: $(cat "$work/log")"
prepare --guest-agent
is '.plan == []'

# Red Hat's family: dnf; it never works, which the log says. An operator's script comes before.
tests/data/phony-family rhel9 "$work/tree"
manager /usr/bin/dnf 0
manager /usr/bin/yum 1
echo 'echo operator >>/calls' >"$work/boot"
pack
prepare --guest-agent --extension "first-boot=$work/boot"
[ "$status" = 0 ] || fail "rhel9: exit status $status"
first_boot rhel9
calls=operator
for _ in {1..5}; do calls+=$'\ndnf -y install qemu-guest-agent\nsleep 10'; done
called rhel9 "$calls"$'\ndnf -y install qemu-guest-agent'
grep -qx 'qemu-guest-agent could not be installed' "$work/log" || fail "log: $(cat "$work/log")"

# It is there already; no package manager is.
phony
manager /usr/bin/apt-get 1
echo agent >"$work/tree/usr/sbin/qemu-ga"
pack
prepare --dry-run --guest-agent
is '[.plan[] | select(.path | tostring | test("first-boot"))] == [] and (.warnings | any(test("guest-agent")) | not)'
rm "$work/tree/usr/sbin/qemu-ga" "$work/tree/usr/bin/apt-get"
pack
prepare --dry-run --guest-agent
is '[.plan[] | select(.path | tostring | test("first-boot"))] == [] and (.warnings | any(test("^qemu-guest-agent is not installed: none")))'

# Where the rest of each family's call is: OpenRC gets the service into its run level.
tests/data/phony-family alpine "$work/tree"
manager /sbin/apk 1
pack
prepare --guest-agent
[ "$status" = 0 ] || fail "alpine: exit status $status"
show "$dir/90-agent" >"$work/script"
grep -qx '	apk add --update-cache qemu-guest-agent' "$work/script" && grep -q '^rc-update add qemu-guest-agent' "$work/script" ||
	fail "alpine: $(cat "$work/script")"
