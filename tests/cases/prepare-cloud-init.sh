#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cloud-init that has run keeps its instance and leaves the network alone; one that never ran is
# left as it is; the job may ask for a new instance.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"
config=/etc/cloud/cloud.cfg.d/99-target-worker.cfg
marker=/var/lib/cloud/instances/i-0a/manual-clean

phony
mkdir -p "$work/tree/etc/cloud/cloud.cfg.d" "$work/tree/var/lib/cloud"
pack
prepare --dry-run
is '[.plan[] | select(.step == "cloud-init")] == []'
is '[.skipped[] | select(.step == "cloud-init")] | length == 1'

mkdir -p "$work/tree/var/lib/cloud/instances/i-0a"
ln -s /var/lib/cloud/instances/i-0a "$work/tree/var/lib/cloud/instance"
pack
list before
prepare
[ "$status" = 0 ] || fail "prepare: exit status $status"
show "$config" | grep -qx 'network: {config: disabled}' || fail "cloud-init would write the network"
show "$config" | grep -qx 'manual_cache_clean: true' || fail "cloud-init would take it for new"
is --arg p "$marker" '[.changes[].path] | index($p) != null'
prepare
is '.plan == [] and .changes == []'

prepare --cloud-init-anew
[ "$status" = 0 ] || fail "prepare --cloud-init-anew: exit status $status"
is --arg c "$config" --arg m "$marker" '[.plan[] | select(.kind == "remove") | .path] | sort == [$c, $m]'
is '.verdict == "boots"'
[ -z "$(show "$config")" ] || fail "the configuration is still there"
prepare --cloud-init-anew
is '.plan == []'
