#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# open-vm-tools under a metapackage is masked, not removed: removing it would take the metapackage
# and what stands on it away.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "$0")/prepare-lib.bash"

phony
rm "$work/tree/etc/systemd/system/open-vm-tools.service"
cat >>"$work/tree/var/lib/dpkg/status" <<'END'
Package: server-meta
Status: install ok installed
Depends: bash (>= 5), open-vm-tools (>= 2:11) | qemu-guest-agent

Package: open-vm-tools-docs
Status: install ok installed
Depends: not-open-vm-tools

END
pack
prepare
[ "$status" = 0 ] || fail "exit status $status"
is '[.plan[] | select(.step == "tools")] == [{"step": "tools", "kind": "link",
	"path": "/etc/systemd/system/open-vm-tools.service", "from": "/dev/null",
	"why": "open-vm-tools: server-meta depends on it, so it is switched off"}]'
list after
grep -q '^./usr/bin/vmtoolsd ' "$work/after" || fail "it was removed"
grep -q '^./etc/systemd/system/open-vm-tools.service l.* /dev/null$' "$work/after" || fail "not masked"
prepare
is '.plan == [] and .verdict == "boots"'
