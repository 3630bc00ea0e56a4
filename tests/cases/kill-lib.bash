# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced in place of prepare-lib.bash: the worker is killed between two of its system calls that change
# something (data/kill-at.c).
#   killed_preparation TYPE WHICH  on that file system; WHICH: kinds, one step of each kind, or all
#   killed_undo TYPE WHICH         the same of an undo
#   killed_rollback TYPE WHICH     the same of a preparation that fails and goes back
# Whatever was killed, an undo, and likewise another preparation and an undo, brings back the guest as
# it was: one of them after each step, and on ext4 both for all.
# shellcheck source=tests/cases/prepare-lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/prepare-lib.bash"
requires gcc getfattr lsattr setfattr chattr
gcc -O1 -Wall -Wextra -Werror -o "$work/kill-at" tests/data/kill-at.c

# kill_at STEP [OPTION...]: prepares; $status is 0 when it was killed, else the worker's.
kill_at()
{
	local step=$1
	shift

	status=0
	disk_is_free
	# Leaks cannot be looked for in a traced process.
	ASAN_OPTIONS=detect_leaks=0 "$work/kill-at" "$step" "$work/steps" "$worker" prepare --nic "$nic" \
		"$@" "$work/disk" >"$work/killed.log" 2>&1 || status=$?
}

# The steps by kind: "NUMBER KIND", without names that differ from run to run, and without numbers.
kinds()
{
	sed -E 's#/+tmp/target-worker-[^/ ]*(/guest)?##
		/ \/var\/lib\/target-worker/{ s#^([0-9]+ .*)#\1#; s#(/)[0-9]+#\1N#g; b }
		/ \/./{ s# /.*target-worker.*\.tw-new$# ADDED#; /\.tw-new$/s# /.*# NEW#; s# /.*# PATH#; }' "$1"
}

# steps_from FIRST WHICH: numbers of those in $work/steps to kill before.
steps_from()
{
	kinds "$work/steps" | awk -v first="$1" -v which="$2" '$1 >= first {
		kind = $2 " " $3
		if (which == "all" || !(kind in seen)) print $1
		seen[kind] = 1
	}'
}

# The time of the folder that the worker's own is made in is not known at each of its steps.
everything() { list_all "$1" && sed -i -E '/^\.\/var\/lib d/d' "$work/$1"; }

# goes_back HOW WHERE: the guest gets what it was, by an undo, or by another preparation before it.
goes_back()
{
	if [ "$1" = prepared ]; then
		prepare
		[ "$status" = "$ends" ] || fail "$2: then prepare: exit status $status"
	fi
	prepare --undo
	[ "$status" = 0 ] || is '.error.text | test("^nothing to undo: no prep")' ||
		fail "$2: undo: exit status $status"
	everything now
	same before now "$2: undo left a difference"
}

# kill_each WHAT FIRST WHICH [OPTION...]: from the disk $work/base.
kill_each()
{
	local what=$1 which=$3 how n=0 step
	local -a steps
	mapfile -t steps < <(steps_from "$2" "$which")
	shift 3

	[ ${#steps[@]} -gt 10 ] || fail "$what: ${#steps[@]} steps are too few"
	for step in "${steps[@]}"; do
		n=$((n + 1))
		for how in undone prepared; do
			[ "$which $fstype" = "all ext4" ] || [ $((n % 2)) = $((${#how} % 2)) ] || continue
			cp --sparse=always "$work/base" "$work/disk"
			kill_at "$step" "$@"
			[ "$status" = 0 ] || fail "$what: step $step: it was not killed: status $status"
			goes_back $how "$fstype: $what, killed before step $step, $(tail -n 1 "$work/steps")"
		done
	done
	echo "$fstype, $what: killed before ${#steps[@]} steps"
}

make_guest()
{
	phony
	ln "$work/tree/etc/fstab" "$work/tree/etc/fstab.same"
	mkdir -p "$work/tree/etc/initramfs-tools/hooks"
	printf '%s\n' "$1" >"$work/tree/etc/initramfs-tools/hooks/test"
	pack
	change 'chattr +i boot/grub/grub.cfg; setfattr -n user.note -v kept etc/fstab etc/vmware-tools'
	everything before
	cp --sparse=always "$work/disk" "$work/base"
}

# A preparation that ends well; its steps are in $work/good.
prepare_well()
{
	make_guest 'echo fine'
	ends=0
	kill_at 0
	[ "$status" = 0 ] || fail "$fstype: prepare: exit status $status"
	kinds "$work/steps" >"$work/good"
}

killed_preparation()
{
	on_file_system "$1"
	prepare_well
	kill_each preparation 1 "$2"
}

killed_undo()
{
	on_file_system "$1"
	prepare_well
	cp --sparse=always "$work/disk" "$work/base"
	kill_at 0 --undo
	[ "$status" = 0 ] || fail "$fstype: undo: exit status $status"
	kill_each undo 1 "$2" --undo
}

# Of a run that fails, what comes after the steps of one that does not.
killed_rollback()
{
	local shared

	on_file_system "$1"
	prepare_well
	make_guest 'echo junk >/etc/junk; exit 1'
	ends=7
	kill_at 0
	[ "$status" = 7 ] || fail "$fstype: a preparation that fails: exit status $status"
	kinds "$work/steps" >"$work/bad"
	shared=$({ cmp "$work/good" "$work/bad" || :; } | sed 's/.* line //')
	kill_each rollback "$shared" "$2"
}
