# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the prepare-tools-*.sh cases about packages, in place of prepare-lib.bash:
#   clear_tree debian|redhat   a guest without tools; $kind is deb or rpm, $lib where /lib is
#   deb NAME "FILE..." [DEPENDS], rpm NAME "FILE..." [NEEDS]   a package of it
#   out NAME TOOL "FILE..." [STAY...]
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/prepare-lib.bash"

# file PATH: in the tree
file() { mkdir -p "$work/tree${1%/*}" && echo "$1" >"$work/tree$1"; }

# deb NAME "FILE..." [DEPENDS]
deb()
{
	printf 'Package: %s\nStatus: install ok installed\nVersion: 1\nDepends: %s\n\n' "$1" "${3:-libc6}" \
		>>"$work/tree/var/lib/dpkg/status"
	for f in $2; do file "$f"; done
	printf '%s\n' $2 >"$work/tree/var/lib/dpkg/info/$1.list"
}
# rpm NAME "FILE..." [NEEDS]: in a database that the guest's rpm, below, reads
rpm()
{
	for f in $2; do file "$f"; done
	printf '%s\n' $2 >"$work/tree/var/lib/rpm/$1.files"
	echo "${3:-}" >"$work/tree/var/lib/rpm/$1.needs"
}
debian()
{
	kind=deb lib=/lib
	phony
	rm -rf "$work"/tree/etc/vmware-tools "$work"/tree/{etc,lib}/systemd/system/open-vm-tools.service \
		"$work/tree/usr/bin/vmtoolsd"
	sed -i '/^Package: open-vm-tools/,/^$/d' "$work/tree/var/lib/dpkg/status"
}
redhat()
{
	kind=rpm lib=/usr/lib
	tests/data/phony-family rhel9 "$work/tree"
	cat >"$work/tree/usr/bin/rpm" <<-'END'
		#!/bin/sh
		cd /var/lib/rpm
		case "$1 $2" in
		"-qf --qf")
			name=$(grep -lxF "$4" *.files) || { echo "file $4 is not owned by any package"; exit 1; }
			echo "${name%.files}" ;;
		"-qa --qf")
			for f in $4.files; do [ ! -f "$f" ] || echo "${f%.files}"; done ;;
		-ql*) cat "$2.files" ;;
		-e*)
			shift
			for n; do
				[ -f "$n.files" ] || { echo "package $n is not installed"; exit 1; }
				for f in $(grep -lxF "$n" *.needs); do
					case " $* " in *" ${f%.needs} "*) ;; *) echo "$n is needed by ${f%.needs}"; exit 1 ;; esac
				done
			done
			for n; do rm -f $(cat "$n.files") "$n.files" "$n.needs"; done ;;
		*) exit 9 ;;
		esac
	END
	rpm bash /usr/bin/bash.phony
}
clear_tree() { rm -rf "${work:?}/tree"; "$1"; }

# out NAME TOOL "FILE..." [STAY...]: prepared; of the files nothing is left, what stays is there
out()
{
	local name=$1 tool=$2 files=$3 f

	shift 3
	pack
	inspect
	is --arg t "$tool" '.facts.tools == $t'
	list before
	prepare
	[ "$status" = 0 ] || fail "$name: exit status $status, $(jq -c .error "$work/report.json")"
	is '.verdict == "boots" and .facts.tools_left == 0 and .unsaved == []'
	list after
	for f in $files; do
		if grep -qF ".$f " "$work/after"; then fail "$name: $f is left"; fi
	done
	for f; do
		grep -qF ".$f " "$work/after" || fail "$name: $f is gone"
	done
	cp "$work/report.json" "$work/first.json"
	prepare
	is '.plan == [] and .changes == []'
	prepare --undo
	[ "$status" = 0 ] || fail "$name: undo: exit status $status"
	list undone
	same before undone "$name: undo left a difference"
	cp "$work/first.json" "$work/report.json"
}
