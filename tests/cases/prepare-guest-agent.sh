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

# Supplied packages: the guest's own folder before the whole, by architecture and family, those that
# the guest has left out, all others in one call of its tool.
supply=$work/packages
mkdir -p "$supply/debian-12" "$supply/rhel-9"
touch "$supply"/qemu-guest-agent_1_amd64.deb "$supply/debian-12"/{qemu-guest-agent_8.2_amd64,qemu-guest-agent_8.2_arm64,libone_1_amd64,libtwo_1_all,libhad_1_amd64}.deb \
	"$supply"/rhel-9/{qemu-guest-agent-8.2-1.el9.x86_64,qemu-guest-agent-8.2-1.el9.aarch64,libone-1-1.noarch,libhad-1-1.x86_64,qemu-guest-agent-debuginfo-8.2-1.el9.s390x}.rpm
# tool PATH STATUS: as dpkg and rpm; a refusal comes when half of the work is done
tool()
{
	cat >"$work/tree$1" <<-END
		#!/bin/sh
		case \$1 in
		-q) [ "\$2" = libhad ]; exit ;;
		-i | -U) ;;
		*) exec /usr/bin/tool.real "\$@" ;;
		esac
		[ -f "\$2" ] || exit 9
		if echo x >/run/target-worker-packages/written; then exit 9; fi
		echo "tool \$*"
		for db in /var/lib/dpkg/status /var/lib/rpm/Packages; do
			[ ! -f \$db ] || printf '\nPackage: qemu-guest-agent\nStatus: install ok installed\n' >>\$db
		done
		mkdir -p /usr/share/agent
		echo data >/usr/share/agent/data
		echo agent >/usr/sbin/qemu-ga
		[ $2 = 0 ] || rm /usr/sbin/qemu-ga
		exit $2
	END
	chmod 755 "$work/tree$1"
}
debian_guest()
{
	phony
	printf '\nPackage: libhad\nStatus: install ok installed\n' >>"$work/tree/var/lib/dpkg/status"
	mv "$work/tree/usr/bin/dpkg" "$work/tree/usr/bin/tool.real"
	tool /usr/bin/dpkg "$1"
	manager /usr/bin/apt-get 1
	pack
	list before
}
installs() { is --arg names "$1" '[.plan[] | select(.kind == "install").from | split(" ") | sort | join(" ")] == [$names]'; }
undone()
{
	prepare --undo
	[ "$status" = 0 ] || fail "$1: undo: exit status $status"
	list undone
	same before undone "$1: undo left a difference"
}

debian_guest 0
all='libhad_1_amd64.deb libone_1_amd64.deb libtwo_1_all.deb qemu-guest-agent_8.2_amd64.deb'
prepare --dry-run --packages "$supply"
installs "$all"
is '[.plan[] | select(.path | tostring | test("first-boot"))] == []'
list after
same before after "a dry run changed the disk"
prepare --packages "$supply"
[ "$status" = 0 ] || fail "debian: exit status $status, $(jq -c .error "$work/report.json")"
installs "$all"
is '.verdict == "boots" and .unsaved == [] and (.warnings | any(test("guest-agent")) | not)'
is '.changes | any(.path == "/usr/sbin/qemu-ga" and .change == "added")'
grep -q 'tool -i' "$work/prepare.log" || fail "dpkg -i was not called"
grep 'tool -i' "$work/prepare.log" | tr ' ' '\n' | sed -n 's|^/run/target-worker-packages/||p' | LC_ALL=C sort |
	tr '\n' ' ' >"$work/given"
[ "$(cat "$work/given")" = 'libone_1_amd64.deb libtwo_1_all.deb qemu-guest-agent_8.2_amd64.deb ' ] ||
	fail "given to dpkg: $(cat "$work/given")"
prepare --packages "$supply"
is '.plan == [] and .changes == []'
undone debian

# dpkg refuses, after open-vm-tools went by the same database: that stays out, the rest goes back.
debian_guest 1
prepare --packages "$supply"
[ "$status" = 0 ] || fail "refused: exit status $status, $(jq -c .error "$work/report.json")"
is '.verdict == "boots" and (.warnings | any(test("^qemu-guest-agent: dpkg -i ended with status 1")))'
show /var/lib/dpkg/status >"$work/status"
if grep -q '^Package: qemu-guest-agent\|^Package: open-vm-tools' "$work/status"; then fail "status: $(cat "$work/status")"; fi
list after
if grep -q '/usr/share/agent' "$work/after"; then fail "half an installation is left"; fi
prepare --packages "$supply"
is '.plan == [] and .changes == []'
undone refused
prepare --packages "$supply"
first_boot refused
called refused "apt-get update
apt-get -y install qemu-guest-agent"

# No package for this guest, and two of them: the first boot.
debian_guest 0
for what in none two missing; do
	mkdir -p "$work/$what"
done
rmdir "$work/missing"
touch "$work"/none/qemu-guest-agent_8_arm64.deb "$work"/two/qemu-guest-agent_{7,8}_amd64.deb
for what in none two missing; do
	prepare --dry-run --packages "$work/$what"
	[ "$status" = 0 ] || fail "$what: exit status $status"
	is --arg p "$dir/90-agent" '(.plan | any(.path == $p)) and (.plan | any(.kind == "install") | not)'
done

# rpm, from an image of a disk.
tests/data/phony-family rhel9 "$work/tree"
mkdir -p "$work/tree/var/lib/rpm"
echo database >"$work/tree/var/lib/rpm/Packages"
mv "$work/tree/usr/bin/rpm" "$work/tree/usr/bin/tool.real"
tool /usr/bin/rpm 0
mke2fs -q -t ext4 -d "$supply" "$work/packages.img" 8M
pack
list before
prepare --packages "$work/packages.img"
[ "$status" = 0 ] || fail "rhel9: exit status $status, $(jq -c .error "$work/report.json")"
jq -e '.warnings | any(test("packages|guest-agent")) | not' "$work/report.json" >"$work/jq.log" ||
	fail "rhel9: $(jq -c .warnings "$work/report.json")"
grep 'tool -U' "$work/prepare.log" | tr ' ' '\n' | sed -n 's|^/run/target-worker-packages/||p' | LC_ALL=C sort |
	tr '\n' ' ' >"$work/given"
[ "$(cat "$work/given")" = 'libone-1-1.noarch.rpm qemu-guest-agent-8.2-1.el9.x86_64.rpm ' ] ||
	fail "given to rpm: $(cat "$work/given")"
undone rhel9

# apk, which enables nothing: the service gets into the run level.
tests/data/phony-family alpine "$work/tree"
mkdir -p "$supply/alpine" "$work/tree/usr/bin" "$work/tree/etc/apk" "$work/tree/etc/runlevels/default"
touch "$supply"/alpine/{qemu-guest-agent-8.1.5-r0,qemu-guest-agent-openrc-8.1.5-r0}.apk
echo busybox >"$work/tree/etc/apk/world"
# shellcheck disable=SC2016 # for the guest's shell
printf '%s\n' '#!/bin/sh' '[ "$1 $2 $3" = "add --allow-untrusted --no-network" ] && [ -f "$4" ] && [ -f "$5" ] && [ $# = 5 ] || exit 9' \
	'echo qemu-guest-agent >>/etc/apk/world' 'echo agent >/usr/bin/qemu-ga' >"$work/tree/sbin/apk"
# shellcheck disable=SC2016 # as above
printf '#!/bin/sh\n[ "$1" = add ] && echo "$3" >"/etc/runlevels/$3/$2"\n' >"$work/tree/sbin/rc-update"
chmod 755 "$work"/tree/sbin/{apk,rc-update}
pack
list before
prepare --packages "$supply"
[ "$status" = 0 ] || fail "alpine: exit status $status, $(jq -c .error "$work/report.json")"
is '.unsaved == [] and (.warnings | any(test("guest-agent")) | not)'
is '[.changes[].path] | contains(["/usr/bin/qemu-ga", "/etc/apk/world", "/etc/runlevels/default/qemu-guest-agent"])'
undone alpine
