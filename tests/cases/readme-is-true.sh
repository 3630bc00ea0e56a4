#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the README tells a newcomer to type exists: make targets, programs and their options, files,
# codes; and its job is one that the worker accepts.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires make git

# Everything between backquotes, and the indented lines without their remarks.
{
	grep -o '`[^`]*`' README.md | tr -d '`'
	grep '^    ' README.md | sed 's/  *# .*//'
} >"$work/typed"

make -s help >"$work/help"
sed '1,/^Targets:/d' "$work/help" | awk '{ print $1 }' >"$work/targets"
while read -r target; do
	[ "$target" = FORCE ] || grep -qx -- "$target" "$work/targets" || fail "make help leaves out $target"
done < <(sed -nE 's/^\.PHONY: //p' Makefile scripts/*.mk qemu/*.mk qemu/controller/*.mk tests/*.mk \
	tests/bench/*.mk | tr ' ' '\n')
for variable in $(sed -n '/^# Variables:/,/^$/s/^#   \([A-Z]*\).*/\1/p' Makefile); do
	grep -q "^  $variable" "$work/help" || fail "make help leaves out the variable $variable"
done
n=0
while read -r target; do
	grep -qx -- "$target" "$work/targets" || fail "make $target: no such target"
	n=$((n + 1))
done < <(sed -nE 's/^( *|[A-Z]+=[a-z]+ )make ([a-z-]+).*/\2/p' "$work/typed")
[ $n -ge 6 ] || fail "only $n make targets seen: the README looks different"

# Programs and files of the tree; build/ is made.
n=0
while read -r path; do
	git ls-files --error-unmatch -- "$path" >"$work/git.log" 2>&1 || fail "$path is not in the tree"
	n=$((n + 1))
done < <(grep -oE '(^|[ (])(scripts|qemu|tests|worker|initramfs|kernel-config)/[A-Za-z0-9._/-]+' \
	"$work/typed" README.md | sed 's/.*[ (:]//' | sort -u)
[ $n -ge 8 ] || fail "only $n paths seen"
# What is made: everything below build/ but the traces of runs.
n=0
while read -r path; do
	[ -e "$path" ] || fail "$path is not made by what the README says"
	n=$((n + 1))
done < <(grep -oE '\bbuild/(image|worker)/[A-Za-z0-9._-]+' README.md | sort -u)
[ $n -ge 4 ] || fail "only $n results of the build seen"
while read -r folder; do
	[ -d "$folder" ] || fail "there is no folder $folder"
done < <(grep -oE '^\| `[a-z-]+/` ' README.md | tr -d '|` ')

# Options of our programs, as their own text names them.
options() { # PROGRAM FILE-WITH-ITS-OPTIONS
	local option

	while read -r option; do
		grep -q -e "${option//-/\\\\\\?-}\\b" "$2" || fail "$1 has no option $option"
	done < <(grep -E "(^|[ /])$1 " "$work/typed" | grep -oE ' --[a-z-]+' | sort -u)
}
options qemu/run qemu/run
options qemu/prepare qemu/prepare
options source-server worker/source-server.8

while read -r code; do
	grep -q "^X($code," worker/base/err-codes.h || fail "there is no code $code"
done < <(sed -n '/^## When something is wrong/,/^## /p' README.md | grep '^| `[A-Z]*_' |
	cut -d'|' -f2 | grep -oE '[A-Z]+_[A-Z_]+')
while read -r code; do
	sed -n '/^## When something is wrong/,/^## /p' README.md | cut -d'|' -f2 | has "\`$code\`" ||
		fail "the README has no row for the code $code"
done < <(sed -n 's/^X(\([A-Z_]*\),.*/\1/p' worker/base/err-codes.h)

sed -n '/^    { "version"/,/}$/p' README.md |
	sed 's|"sha256//\.\.\."|"sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="|; s|"user:hex"|"u:00112233445566778899aabbccddeeff"|' \
		>"$work/job.json"
"$worker" check-job "$work/job.json" >"$work/check.log" 2>&1 || fail "$(cat "$work/check.log")"

grep -oE 'worker\.8, "[A-Z ]+"' README.md | cut -d'"' -f2 | while read -r section; do
	grep -q "^\.SH $section\$" worker/worker.8 || fail "worker.8 has no section $section"
done
