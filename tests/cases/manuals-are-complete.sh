#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Manuals, programs and their --help tell the same: each option that a program takes is described in
# its manual, each that a manual describes is taken, and --help names no other ones.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# Options in getopt's tables and in source-server's own, one a line.
taken() { # FILE...
	sed -n '/option.*\[\] = {/,/};/p' "$@" | grep -oE '\{ "[a-z-]+"' | cut -d'"' -f2 | sort -u
}
# Entries of a manual: --name in a line that is set in bold.
described() { # MANUAL
	grep -E '^\.B[A-Z]* ' "$1" | grep -oE '\\-\\-[a-z]+(\\-[a-z]+)*' | tr -d '\\' | sed 's/^--//' |
		sort -u
}
helped() { # PROGRAM ARGUMENTS...
	"$@" >"$work/help" 2>&1 || fail "$*: exit status $?"
	grep -oE -- '--[a-z]+(-[a-z]+)*' "$work/help" | sed 's/^--//' | sort -u
}
none() { # TEXT FILE
	[ ! -s "$2" ] || fail "$1: $(tr '\n' ' ' <"$2")"
}

taken worker/source-server.c >"$work/server.taken"
[ "$(wc -l <"$work/server.taken")" -ge 12 ] || fail "source-server: the table looks different"
described worker/source-server.8 >"$work/server.described"
helped "$server" --help >"$work/server.help"
diff "$work/server.taken" "$work/server.described" >"$work/diff" ||
	fail "source-server.8 (>) and what is taken (<): $(grep '^[<>]' "$work/diff" | xargs)"
diff "$work/server.taken" "$work/server.help" >"$work/diff" ||
	fail "source-server --help (>) and what is taken (<): $(grep '^[<>]' "$work/diff" | xargs)"

taken worker/cmd-*.c >"$work/worker.taken"
[ "$(wc -l <"$work/worker.taken")" -ge 25 ] || fail "worker: the tables look different"
described worker/worker.8 >"$work/worker.described"
comm -23 "$work/worker.taken" "$work/worker.described" >"$work/missing"
none "worker.8 does not describe" "$work/missing"
comm -13 "$work/worker.taken" "$work/worker.described" >"$work/more"
none "worker.8 describes what nothing takes" "$work/more"

# The commands, and the options of each that its usage names.
helped "$worker" help >"$work/worker.help"
cp "$work/help" "$work/commands"
helped "$worker" copy --help >"$work/copy.help"
taken worker/cmd-copy.c >"$work/copy.taken"
comm -13 "$work/copy.taken" "$work/copy.help" >"$work/more"
none "worker copy --help names" "$work/more"
comm -23 "$work/copy.taken" "$work/copy.help" >"$work/missing"
none "worker copy --help does not name" "$work/missing"
helped "$worker" prepare --help >"$work/prepare.help"
taken worker/cmd-prepare.c >"$work/prepare.taken"
diff "$work/prepare.taken" "$work/prepare.help" >"$work/diff" ||
	fail "worker prepare --help (>) and what is taken (<): $(grep '^[<>]' "$work/diff" | xargs)"
helped "$worker" inspect --help >"$work/inspect.help"
comm -13 "$work/prepare.taken" "$work/inspect.help" >"$work/more"
none "worker inspect --help names" "$work/more"
helped "$worker" run --help >"$work/run.help"
grep -q job "$work/run.help" || fail "worker run --help names no --job"
comm -13 "$work/worker.taken" "$work/worker.help" >"$work/more"
none "worker help names" "$work/more"
n=0
while read -r command; do
	grep -qE "^\.B worker ${command/-/(-|\\\\-)}( |$)" worker/worker.8 || fail "worker.8 has no command $command"
	n=$((n + 1))
done < <(grep -oE '(usage:| {6}) worker [a-z-]+' "$work/commands" | awk '{ print $NF }')
[ $n -ge 7 ] || fail "only $n commands in the usage"

# What init reads from the kernel command line.
grep -hoE '"tw\.[a-z_]+' initramfs/init*.c | tr -d '"' | sort -u >"$work/init.taken"
[ -s "$work/init.taken" ] || fail "init: no parameter seen"
while read -r name; do
	grep -qF "$name" initramfs/init.8 || fail "init.8 does not describe $name"
done <"$work/init.taken"
