#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is checked without booting. Usage: scripts/check.sh all|static|unit|fuzz
# [PROGRAM...]; `make check` calls it with what it built. The last line of `unit`, `fuzz` and
# `all` is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

log=build/check
mkdir -p "$log"
verdicts=$(mktemp -d)
trap 'rm -rf "$verdicts"' EXIT

# run NAME COMMAND...: one line for each, the output only of what failed. Two at a time: some only
# wait. What is printed for one goes out in one piece.
run() {
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
		wait -n
	done
	asked=$((asked + 1))
	one "$@" &
}

one() {
	local name=$1 start=$SECONDS file verdict=ok
	shift
	file=$log/${name//[\/ ]/_}.log
	"$@" >"$file" 2>&1 || verdict=FAILED
	: >"$verdicts/$asked.$verdict"
	printf '%-7s %-44s %3d s%s\n' "$verdict" "$name" $((SECONDS - start)) \
		"$([ $verdict = ok ] || { echo "  ($file)"; tail -n 40 "$file"; })"
}

sources() { git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

# What a script sources, and that in turn: adds to read_by, from sourced_by.
add_sourced() {
	local f
	for f; do
		[ -z "${read_by[$f]:-}" ] || continue
		read_by[$f]=1
		# shellcheck disable=SC2086 # names without spaces
		add_sourced ${sourced_by[$f]:-}
	done
}

# What passed once is not looked at again: a mark in the cache for each script, by its content, that
# of what it sources, and the version of the tool.
check_shellcheck() {
	local marks=${XDG_CACHE_HOME:-$HOME/.cache}/target-worker/shellcheck version f to keys=() list=()
	local -A sourced_by=() read_by
	version=$(shellcheck --version)
	# shellcheck disable=SC2016 # for awk
	while read -r f to; do
		[ ! -f "$to" ] || sourced_by[$f]+=" $to"
	done < <(sources | xargs -d '\n' awk '
		sub(/^[ \t]*# shellcheck source=/, "") || sub(/^[ \t]*(\.|source) /, "") { print FILENAME, $1 }')
	mkdir -p "$marks"
	find "$marks" -type f -mtime +30 -delete
	while read -r f; do
		case $f in
		*.sh) ;;
		*.*) continue ;;
		*) head -c 32 "$f" | grep -qE '^#!/(usr/bin/env bash|bin/(ba)?sh)' || continue ;;
		esac
		read_by=()
		add_sourced "$f"
		keys+=("$marks/$({ echo "$version $f"; printf '%s\n' "${!read_by[@]}" | sort | xargs cat; } |
			sha256sum | cut -c1-32)")
		if [ -e "${keys[-1]}" ]; then
			touch "${keys[-1]}"
		else
			list+=("$f")
		fi
	done < <(sources)
	echo "${#list[@]} of ${#keys[@]} scripts are new"
	[ ${#list[@]} -eq 0 ] || shellcheck -x -S warning "${list[@]}" || return 1
	touch "${keys[@]}"
}

check_spdx() {
	local bad
	# shellcheck disable=SC2016 # for awk
	bad=$(sources '*.c' '*.h' '*.sh' '*.py' Makefile '*.mk' 'kernel-config/*.config' | xargs -d '\n' awk '
		FNR > 3 { nextfile }
		/SPDX-License-Identifier/ { has[FILENAME] = 1 }
		END { for (i = 1; i < ARGC; i++) if (!(ARGV[i] in has)) print ARGV[i] }')
	[ -z "$bad" ] || { printf 'no SPDX line: %s\n' "$bad"; return 1; }
}

# Names of registries, paths of one machine and unfinished words must not land.
check_words() {
	local org=debian bad
	bad=$(sources | grep -vE '^(scripts/check\.sh|tests/data/)' | xargs -d '\n' \
		grep -InHE "(deb|security|ftp|snapshot)\.$org\.org|registry\.np[m]|/wor[k]/(main|shared)|TODO|FIXME|XXX[^X]" |
		grep -vE 'mktemp|XXXXXX' || :)
	[ -z "$bad" ] || { printf '%s\n' "$bad"; return 1; }
}

# A function is global only if a header declares it; every global carries its module's name.
check_symbols() {
	local bad=0 m archive sym
	for m in worker/*/; do
		m=$(basename "$m")
		archive=build/host/obj/$m
		[ -d "$archive" ] || continue
		while read -r sym; do
			if [ "$m" = base ]; then
				[ -f "worker/base/${sym%%_*}.h" ] && continue
			else
				[ "${sym%%_*}" = "$m" ] && continue
			fi
			echo "$m: global symbol $sym does not start with the module's name"
			bad=1
		done < <(nm -g --defined-only "$archive"/*.o | awk 'NF == 3 && $2 ~ /[TDBR]/ { print $3 }' | grep -v '^__' | sort -u)
	done
	return $bad
}

check_size_of_files() {
	local bad
	bad=$(sources '*.c' '*.h' '*.sh' | xargs -d '\n' wc -l | awk '$2 != "total" && $1 > 700 { print $2 ": " $1 " lines" }')
	[ -z "$bad" ] || { printf 'split these: %s\n' "$bad"; return 1; }
}

# 90 columns, tabs of 8. Texts stay whole, so that they can be searched for.
check_columns() {
	sources '*.c' '*.h' | xargs -d '\n' awk '
		/"/ { next }
		{
			n = split($0, part, "\t")
			w = length(part[n])
			for (i = 1; i < n; i++)
				at = int((at + length(part[i])) / 8 + 1) * 8
			if (at + w > 90) { print FILENAME ":" FNR ": " at + w " columns"; bad = 1 }
			at = 0
		}
		END { exit bad }'
}

# err_text has the same words with each C library; strerror(3) of musl lacks some.
check_errno_texts() {
	! grep -rnw 'strerror' --include='*.c' --include='*.h' worker initramfs | grep -v '^worker/base/err' |
		grep -v '^initramfs/'
}

# A mutant whose expression changes nothing any more guards nothing.
check_mutants() {
	local bad=0 list text part
	for list in tests/mutants/*.list; do
		while IFS= read -r text; do
			case $text in '' | '#'*) continue ;; esac
			mapfile -t part < <(awk -F ' [|] ' '{ for (i = 1; i <= NF; i++) print $i }' <<<"$text")
			if [ ${#part[@]} -ne 4 ] || [ ! -f "${part[0]}" ]; then
				echo "$list: not four fields, or no such file: $text"
				bad=1
			elif [ "${part[2]}" != - ] && { ! sed -E "${part[1]}" "${part[0]}" >"$log/mutant.c" ||
				cmp -s "$log/mutant.c" "${part[0]}"; }; then
				echo "$list: changes nothing: $text"
				bad=1
			elif [ "${part[2]}" != - ] && [ ! -f "tests/${part[2]}.c" ] && [ ! -f "tests/${part[2]%-shipped}.sh" ]; then
				echo "$list: no test ${part[2]}"
				bad=1
			fi
		done <"$list"
	done
	return $bad
}

check_packages_list() {
	[ "$(grep -cvE '^(#|$|[a-z0-9][a-z0-9.+-]* +# .+)' scripts/packages.list)" = 0 ]
}

# Each code of the table can happen: a source file sets it, worker.8 explains it, a test names it;
# and worker.8 explains no others.
check_codes() {
	local bad=0 code codes
	codes=$(sed -n 's/^X(\([A-Z0-9_]*\),.*/\1/p' worker/base/err-codes.h)
	for code in $codes; do
		grep -qx "\.B $code" worker/worker.8 || { echo "$code: not in worker.8"; bad=1; }
		[ -n "$(grep -rhw --include='*.c' "ERR_$code" worker | grep -vE "[=!]= *ERR_$code\b")" ] ||
			{ echo "$code: no source file sets it"; bad=1; }
		grep -rqwE "(ERR_)?$code" tests/unit tests/cases tests/boot ||
			{ echo "$code: no test names it"; bad=1; }
	done
	while read -r code; do
		[[ $'\n'$codes$'\n' == *$'\n'"$code"$'\n'* ]] || { echo "$code: only in worker.8"; bad=1; }
	done < <(sed -n '/codes: begin/,/codes: end/s/^\.B //p' worker/worker.8)
	return $bad
}

# The longest one first.
static() {
	run shellcheck check_shellcheck
	run layers scripts/check-layers.sh
	run paths scripts/check-paths.sh
	run spdx check_spdx
	run words check_words
	run symbols check_symbols
	run file-sizes check_size_of_files
	run columns check_columns
	run packages-list check_packages_list
	run errno-texts check_errno_texts
	run mutants check_mutants
	run codes check_codes
}

unit() {
	local t
	for t in "$@"; do
		run "unit ${t#build/host/unit/}" timeout 600 "$t"
	done
}

# The same inputs each time; a night's search takes FUZZ_SEED=0, which is another one each time.
FUZZ_SECONDS=${FUZZ_SECONDS:-3}
FUZZ_SEED=${FUZZ_SEED:-1}
one_fuzzer() {
	local name=${1##*/fuzz-} corpus
	corpus=$log/corpus-$name
	mkdir -p "$corpus"
	set -- "$1" "$corpus"
	[ -d "tests/fuzz/corpus/$name" ] && set -- "$@" "tests/fuzz/corpus/$name"
	"$1" -seed="$FUZZ_SEED" -max_total_time="$FUZZ_SECONDS" -timeout=100 -rss_limit_mb=1024 -verbosity=0 \
		-artifact_prefix="$log/$name-" "${@:2}"
}
fuzz() {
	local t
	for t in "$@"; do
		run "fuzz ${t##*/fuzz-}" one_fuzzer "$t"
	done
}

what=${1:-all}
shift || :
asked=0
case $what in
static) static ;;
unit) unit "$@" ;;
fuzz) fuzz "$@" ;;
all)
	static
	mapfile -t t < <(find tests/unit -name 'test-*.c' | sed -E 's|^tests/unit/(.*)\.c$|build/host/unit/\1|' | sort)
	unit "${t[@]}"
	mapfile -t t < <(find tests/fuzz -name 'fuzz-*.c' | sed -E 's|^tests/fuzz/(.*)\.c$|build/fuzz/\1|' | sort)
	fuzz "${t[@]}"
	;;
*)
	echo "usage: scripts/check.sh all|static|unit|fuzz [PROGRAM...]" >&2
	exit 2
	;;
esac
wait
# What left no verdict is a failure, too.
passed=$(find "$verdicts" -name '*.ok' | wc -l)
echo "$passed passed, $((asked - passed)) failed"
[ "$passed" = "$asked" ]
