#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The demo's comparison finds every kind of difference: a byte, a mode, an owner, a link, a file too
# many or too few. It forgives what the prepare report names, and what a running source writes
# itself after the copy began, nothing else.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires mke2fs mount
[ "$(id -u)" = 0 ] || skip "comparing disks mounts them: needs root"

mkdir -p "$work/source"/{etc,usr/bin,srv,var/log}
echo one >"$work/source/etc/fstab"
echo two >"$work/source/usr/bin/tool"
echo three >"$work/source/srv/data"
echo four >"$work/source/var/log/syslog"
ln -s tool "$work/source/usr/bin/link"
touch -d '2020-01-01' "$work/source"/etc/fstab "$work/source"/var/log/syslog

# compare [PREPARED-PATH...]: the clone's tree against the source's; sets status, summary.
compare()
{
	printf '%s\n' "$@" >"$work/changed"
	for side in source clone; do
		truncate -s 8M "$work/$side.raw"
		mke2fs -q -F -t ext4 -d "$work/$side" -E offset=1048576 "$work/$side.raw" 7M
	done
	status=0
	summary=$(qemu/compare-disks --offset 1048576 --changed "$work/changed" --since "$since" \
		--report "$work/report" "$work/source.raw" "$work/clone.raw") || status=$?
}
fresh()
{
	rm -rf "$work/clone"
	cp -a "$work/source" "$work/clone"
	since=$(date +%s)
}
# found WHAT PATH
found()
{
	[ "$status" -eq 1 ] || fail "$1 $2 was not found: $summary"
	grep -q "^DIFFERS	$1	$2	" "$work/report" || fail "$1 $2 is not in the report: $(cat "$work/report")"
	[ "$(grep -c ^DIFFERS "$work/report")" = 1 ] || fail "more than $1 $2: $(cat "$work/report")"
}

fresh
compare
[ "$status" -eq 0 ] || fail "equal trees differ: $summary"
[[ $summary == "4 of 4 files identical; 0 entries changed by prepare, 0 written later by the source, 0 unexplained" ]] ||
	fail "summary: $summary"

fresh; printf 'thrEe\n' >"$work/clone/srv/data"; compare; found changed /srv/data
fresh; chmod 700 "$work/clone/usr/bin/tool"; compare; found changed /usr/bin/tool
fresh; chown 5:5 "$work/clone/usr/bin/tool"; compare; found changed /usr/bin/tool
fresh; ln -sfn other "$work/clone/usr/bin/link"; compare; found changed /usr/bin/link
fresh; rm "$work/clone/srv/data"; compare; found missing /srv/data
fresh; echo x >"$work/clone/srv/more"; compare; found new /srv/more

# Named by the report: the path itself or a directory above it, not a name that only begins alike.
fresh; echo uuid >"$work/clone/etc/fstab"; compare /etc/fstab
[ "$status" -eq 0 ] || fail "what prepare names is not forgiven: $summary"
fresh; echo uuid >"$work/clone/etc/fstab"; compare /etc
[ "$status" -eq 0 ] || fail "below a named directory is not forgiven: $summary"
fresh; echo uuid >"$work/clone/etc/fstab"; compare /etc/fst /et; found changed /etc/fstab

# The source's own log: forgiven only when the source wrote it after the copy began.
fresh; echo lost >"$work/clone/var/log/syslog"; since=$(($(date +%s) + 3600)); compare
found changed /var/log/syslog
fresh; echo more >>"$work/source/var/log/syslog"; since=$(($(date +%s) - 60)); compare
[ "$status" -eq 0 ] || fail "a log that went on is not forgiven: $summary"
