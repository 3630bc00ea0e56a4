#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest whose /lib is a link into /usr loses its old tools all the same; an entry of fstab for
# a drive that was not copied is marked nofail and named; a repository file without a last
# newline stays one; and a second run finds nothing to do.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
tree=$work/tree
mkdir -p "$tree/usr/lib"
cp -a "$tree/lib/." "$tree/usr/lib/"
rm -r "${tree:?}/lib"
ln -s usr/lib "$tree/lib"
mkdir -p "$tree"/{var/lib/VBoxGuestAdditions,opt/VBoxGuestAdditions-7} "$tree/etc/yum.repos.d" \
	"$tree/usr/lib/modules/$kernel/misc" "$tree/usr/lib/systemd/system"
echo x | tee "$tree/var/lib/VBoxGuestAdditions/config" "$tree/opt/VBoxGuestAdditions-7/a" \
	"$tree/usr/lib/modules/$kernel/misc/vboxguest.ko" >"$tree/usr/lib/systemd/system/vboxadd.service"
printf '[tools]\nbaseurl=http://packages.vmware.com/tools/esx\nenabled = 1\ngpgcheck=1' \
	>"$tree/etc/yum.repos.d/spaced.repo"
printf '[tools]\nbaseurl=http://packages.vmware.com/tools/esx\ngpgcheck=1' >"$tree/etc/yum.repos.d/none.repo"
cat >>"$tree/etc/fstab" <<-END
	UUID=11111111-2222-3333-4444-555555555555 /data ext4 defaults 0 2
	/dev/sdq1 /scratch xfs noatime 0 2
	LABEL=optional /media/o ext4 nofail 0 2
	LABEL=now-and-then /media/n ext4 noauto 0 2
END
pack
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status: $(tail -n 2 "$work/prepare.log")"
is '[.warnings[] | select(test("on none of the copied drives"))] | length == 2'
is '.warnings | any(test("UUID=1{8}.*/data.*nofail"))'
within 'find usr/lib/modules opt var/lib -name "vbox*" -o -name "VBox*"; ls usr/lib/systemd/system' >"$work/left"
! grep -i vbox "$work/left" || fail "left of VirtualBox: $(cat "$work/left")"
within 'cat etc/fstab' >"$work/fstab"
diff <(tail -n 4 "$work/fstab") - <<-END || fail "fstab"
	UUID=11111111-2222-3333-4444-555555555555 /data ext4 defaults,nofail 0 2
	/dev/sdq1 /scratch xfs noatime,nofail 0 2
	LABEL=optional /media/o ext4 nofail 0 2
	LABEL=now-and-then /media/n ext4 noauto 0 2
END
[ "$(show /etc/yum.repos.d/spaced.repo | tail -n 2)" = $'enabled=0\ngpgcheck=1' ] || fail "spaced.repo"
[ "$(show /etc/yum.repos.d/none.repo | tail -n 2)" = $'gpgcheck=1\nenabled=0' ] || fail "none.repo"
prepare
is '.plan == [] and .changes == []'
