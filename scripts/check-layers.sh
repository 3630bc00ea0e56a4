#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reads the #include lines of worker/ and fails on an arrow between modules that is not in the
# table of worker/ARCHITECTURE.md (lines "module -> module module ..." between the markers).
# Usage: scripts/check-layers.sh [WORKER_DIR ARCHITECTURE.md]
set -euo pipefail
dir=${1:-worker}
doc=${2:-worker/ARCHITECTURE.md}

arrows=$(sed -n '/layers:begin/,/layers:end/p' "$doc" | sed 's|^ *||' | grep -- '->' || :)
if [ -z "$arrows" ]; then
	echo "check-layers: no arrows between layers:begin and layers:end in $doc" >&2
	exit 1
fi

declare -A allowed=() # "FROM TO"
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
	if [ "$to" != base ] && [ "$header" != "$to/$to.h" ]; then
		echo "$file: includes $header; another module sees only $to/$to.h" >&2
		bad=1
	fi
	if [ -z "${allowed[$from $to]:-}" ]; then
		echo "$file: $from may not include $to ($doc)" >&2
		bad=1
	fi
done < <(grep -rnoE '^#include "[^"]+"' --include='*.[ch]' "$dir"/*/ | sed -E 's/^([^:]+):[0-9]+:/\1:/')
exit $bad
