#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Maps of autofs: entries that mount a hypervisor's shared folder become comments, in each map that is a
# file and that a master map names. Programs, other kinds of maps, and what cannot be read stay, and are no
# reason to give up the guest. A second run changes nothing, undo is exact.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
etc=$work/tree/etc
mkdir -p "$etc/auto.master.d"
cat >"$etc/auto.master" <<'END'
# /none /etc/auto.none
/misc	/etc/auto.misc --timeout=60
/vm \
	auto.vm
/- file:/etc/auto.direct
/net -hosts
/yp yp:/etc/auto.none
/prog /etc/auto.prog
/big /etc/auto.big
/loop /etc/auto.loop
/gone /etc/auto.gone
+dir:/etc/auto.master.d
END
echo '/box /etc/auto.box' >"$etc/auto.master.d/box.autofs"
echo '/none /etc/auto.none' >"$etc/auto.master.d/box.rpmsave"
shared='share -fstype=fuse.vmhgfs-fuse,allow_other :.host:/share'
for name in none misc vm direct prog box; do
	printf 'nfs -ro server:/x\n%s\n' "$shared" >"$etc/auto.$name"
done
chmod 755 "$etc/auto.prog"
head -c 1200000 /dev/zero | tr '\0' '#' >"$etc/auto.big"
ln -s auto.loop "$etc/auto.loop"
pack

list before
prepare
[ "$status" = 0 ] || fail "exit status $status: $(jq -c .error "$work/report.json")"
is '.verdict == "boots"'
is '[.plan[] | select(.step == "autofs").path] | sort == ["/etc/auto.box", "/etc/auto.direct", "/etc/auto.misc", "/etc/auto.vm"]'
is '[.warnings[] | select(test("^/etc/auto.big: too large"))] | length == 1'
for name in misc vm direct box; do
	[ "$(show "/etc/auto.$name")" = "nfs -ro server:/x
# target-worker: $shared" ] || fail "auto.$name: $(show "/etc/auto.$name")"
done
list after
prepare
is '.plan == [] and .changes == []'
stays_and_goes
