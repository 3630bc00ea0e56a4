#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reads the #include lines of worker/ and fails on an arrow between modules that is not in the
# table of worker/ARCHITECTURE.md (lines "module -> module module ..." between the markers). It also
# fails on what is in that document and not in the code: a module without a folder, an arrow that
# no file uses, a folder named in the invariants that does not exist.
# Usage: scripts/check-layers.sh [WORKER_DIR ARCHITECTURE.md]
set -euo pipefail
dir=${1:-worker}
doc=${2:-worker/ARCHITECTURE.md}

arrows=$(sed -n '/layers:begin/,/layers:end/p' "$doc" | sed 's|^ *||' | grep -E '^[a-z]+ -> ' || :)
if [ -z "$arrows" ]; then
	echo "check-layers: no arrows between layers:begin and layers:end in $doc" >&2
	exit 1
fi

declare -A allowed=() used=() # "FROM TO"
while read -r from _ names; do
	for to in $names; do
		allowed[$from $to]=1
	done
done <<<"$arrows"

bad=0
while IFS=: read -r file line; do
	from=${file%/*}
	from=${from##*/}
	header=${line#*\"}
	header=${header%%\"*}
	case $header in
	*-internal.h)
		[ "${header%%/*}" = "$from" ] || [ "$header" = "${header##*/}" ] || {
			echo "$file: includes $header, private to another module" >&2
			bad=1
		}
		continue
		;;
	*/*) to=${header%%/*} ;;
	*) continue ;;
	esac
	[ "$from" = "$to" ] && continue
	used[$from $to]=1
	if [ "$to" != base ] && [ "$header" != "$to/$to.h" ]; then
		echo "$file: includes $header; another module sees only $to/$to.h" >&2
		bad=1
	fi
	if [ -z "${allowed[$from $to]:-}" ]; then
		echo "$file: $from may not include $to ($doc)" >&2
		bad=1
	fi
done < <(grep -rnoE '^#include "[^"]+"' --include='*.[ch]' "$dir"/*/ | sed -E 's/^([^:]+):[0-9]+:/\1:/')

for arrow in "${!allowed[@]}"; do
	[ -z "${used[$arrow]:-}" ] || continue
	echo "$doc: no file of ${arrow% *} includes ${arrow#* }" >&2
	bad=1
done
# Rows of the table of modules, and folders as the text names them: `copy/`.
while read -r module; do
	[ -d "$dir/$module" ] || { echo "$doc: there is no folder $module" >&2; bad=1; }
done < <({
	sed -n '/^## Modules/,/^## The job/s/^| \([a-z]*\) |.*/\1/p' "$doc" | sed '/^module$/d'
	# shellcheck disable=SC2016 # backquotes of the document
	sed -n '/^## Invariants/,/^## Errors/p' "$doc" | grep -oE '`[a-z]+/`' | tr -d '`/'
} | sort -u)
exit $bad
