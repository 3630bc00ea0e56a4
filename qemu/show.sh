# SPDX-License-Identifier: Apache-2.0
# What `migrate` shows: a line per step with its time, a bar while bytes move, a table at the end.
# shellcheck shell=bash disable=SC2154 # variables of migrate

show_start=$SECONDS
show_rows=()
step_note=
step_name=
show_tty=
[ ! -t 1 ] || show_tty=1

show_title()
{
	printf '%s\n' "$1"
}

clock()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# step NUMBER NAME FUNCTION: the function leaves a remark in step_note. Called plainly, so that
# set -e ends the run inside of a step; cleanup then tells which.
step()
{
	local number=$1 start=$SECONDS
	step_name=$2
	step_note=

	[ "$number" != - ] || number=
	show_head=$(printf '%2s  %-42s' "$number" "$step_name")
	[ -z "$show_tty" ] || printf '\r\033[K%s  ...' "$show_head"
	"$3"
	[ -z "$show_tty" ] || printf '\r\033[K'
	printf '%s %6s  %s\n' "$show_head" "$(clock $((SECONDS - start)))" "$step_note"
	step_name=
}

# One line that is written over on a terminal, and every 10 s elsewhere.
show_at=0
show_progress()
{
	if [ -n "$show_tty" ]; then
		printf '\r\033[K%s %s' "$show_head" "$1"
	elif [ $((SECONDS - show_at)) -ge 10 ]; then
		show_at=$SECONDS
		printf '%s %s\n' "$show_head" "$1"
	fi
}

# show_bytes PHASE DONE TOTAL BYTES-PER-SECOND SECONDS-LEFT|null
show_bytes()
{
	local width=24 full bar eta=unknown

	full=$(($3 > 0 ? $2 * width / $3 : 0))
	printf -v bar '%*s' "$full" ''
	bar=${bar// /#}
	[ "$5" = null ] || eta=$(clock "$5")
	show_progress "$(printf '%-6s [%-*s] %d of %d MB, %d.%d MB/s, ETA %s' "$1" $width "$bar" \
		$(($2 / 1000000)) $(($3 / 1000000)) $(($4 / 1000000)) $(($4 / 100000 % 10)) "$eta")"
}

# result NAME VALUE: a row of the closing table.
result()
{
	show_rows+=("$(printf '%-28s %s' "$1" "$2")")
}

show_table()
{
	printf '\nResult\n'
	printf '  %s\n' "${show_rows[@]}" "$(printf '%-28s %s' "whole run" "$(clock $((SECONDS - show_start)))")"
	printf '  %-28s %s\n' "logs" "${demo#"$top"/}"
}

show_failure()
{
	[ -z "$show_tty" ] || printf '\r\033[K'
	[ -z "$step_name" ] || printf '%s FAILED\n' "$show_head"
	printf 'migrate: failed%s; consoles and logs are in %s\n' \
		"${step_name:+ in \"$step_name\"}" "$demo" >&2
}

die()
{
	[ -z "$show_tty" ] || printf '\r\033[K'
	printf 'migrate: %s\n' "$*" >&2
	exit 1
}
