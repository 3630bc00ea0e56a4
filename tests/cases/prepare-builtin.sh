#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel with all drivers built in, and no module: its initramfs is built again nevertheless when a file
# changes that it holds a copy of, here the .link that keeps the adapter's name. Nothing is named to the tool.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
requires cpio
phony
m=$work/tree/lib/modules/$kernel
find "$m" -name '*.ko' -printf '%P\n' | LC_ALL=C sort >>"$m/modules.builtin"
rm -r "${m:?}/kernel"
: >"$m/modules.dep"
cp "$work/tree/etc/initramfs-tools/modules" "$work/modules"
pack
prepare
[ "$status" = 0 ] || fail "exit status $status: $(jq -c .error "$work/report.json")"
is '.verdict == "boots"'
is '.plan | any(.kind == "initramfs")'
show /boot/initrd.img-$kernel | zcat | cpio --quiet -t >"$work/packed"
grep -q '10-target-worker-ens192\.link$' "$work/packed" || fail "the image holds: $(xargs <"$work/packed")"
show /etc/initramfs-tools/modules | diff "$work/modules" - || fail "modules that are built in are named"
prepare
is '.plan == [] and .changes == []'
