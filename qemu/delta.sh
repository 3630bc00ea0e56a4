# SPDX-License-Identifier: Apache-2.0
# The steps of `migrate --delta` beside those of one phase.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of migrate and of steps.sh
#
# Phase one copies the drive while the source works on it: a mixture of states that only phase two
# makes one. Preparing would change the target's disk, so phase one leaves it out; the job of
# phase two takes nobody's word for what the target holds and compares all of it.

# What is changed on the source after phase one; the same list is asked of source and clone.
changed_files="/srv/new/one.bin /srv/new/two.bin /srv/repo/hard-link.pm /etc/motd"
removed_file=/srv/repo/sparse.img

begin_phase_one()
{
	migration=demo-$guest-$firmware-one
	last=false
	freeze=never
}

begin_phase_two()
{
	migration=demo-$guest-$firmware-two
	mode="delta"
	last=true
	freeze=auto
}

# A service that takes orders as long as it runs.
start_orders()
{
	guest_ssh 'umask 077; cat >/dev/shm/orders' <<-'END'
		while sleep 0.5; do
			sqlite3 -cmd '.timeout 20000' /srv/db/orders.db \
				"INSERT INTO orders (customer, cents) VALUES ('while it moves', 1)"
		done
	END
	guest_ssh systemd-run -q --collect --unit=orders /bin/sh -e /dev/shm/orders
	step_note="a service writes orders to its database"
}

orders()
{
	guest_ssh "sqlite3 -cmd '.timeout 20000' /srv/db/orders.db 'SELECT count(*) FROM orders'"
}

# keep_phase NAME: what would be written over by the next phase.
keep_phase()
{
	mkdir "$demo/$1"
	cp "$demo/job.json" "$result_file" "$demo/worker.log" "$demo/verdict" "$events" \
		"$demo/target/serial.log" "$demo/$1/"
	jq -r '.drives[0].copy.bytes_wire' "$result_file" >"$demo/$1/wire"
	jq -e '.mode == $mode' --arg mode "$mode" "$result_file" >/dev/null ||
		die "$1: mode $(jq -r .mode "$result_file"), not $mode"
}

# bytes FILE KEY: a number of the copy as MB with a digit.
megabytes()
{
	jq -r --arg key "$2" '.drives[0].copy[$key] / 100000 | floor | "\(. / 10) MB"' "$1"
}

end_phase_one()
{
	keep_phase phase-one
	guest_ssh systemctl -q is-active orders || die "source: did not go on working"
	orders_one=$(orders)
	[ "$orders_one" -gt 20000 ] || die "source: took no order while it was copied"
	step_note="$(megabytes "$result_file" bytes_wire) over the wire; $((orders_one - 20000)) orders taken meanwhile"
	result "phase one, wire" "$(<"$demo/phase-one/wire") bytes, the source working"
}

change_source()
{
	guest_ssh "mkdir /srv/new && head -c 4M /dev/urandom >/srv/new/one.bin &&
		head -c 1M /dev/urandom >/srv/new/two.bin && echo changed >>/srv/repo/hard-link.pm &&
		echo 'this machine moves' >/etc/motd && rm $removed_file && sync"
	step_note="5 MB new, two files changed, one removed"
}

confirm_phase_two()
{
	step_note="by the script"
	[ -n "$ask" ] || return 0
	show_progress "press Enter when the source may be stopped"
	read -r || die "nobody confirmed phase two"
	step_note="by the operator"
}

stop_orders()
{
	guest_ssh 'systemctl stop orders && sync'
	guest_ssh "sha256sum $changed_files" >"$demo/changed.source"
	orders_two=$(orders)
	step_note="$orders_two orders in the database"
}

# Much of phase one again would be a copy, not a difference.
end_phase_two()
{
	local one two

	keep_phase phase-two
	one=$(<"$demo/phase-one/wire")
	two=$(<"$demo/phase-two/wire")
	[ $((two * 4)) -lt "$one" ] || die "the delta is no smaller: $two bytes after $one"
	[ "$two" -gt $((5 << 20)) ] || die "the delta of $two bytes is less than what changed"
	step_note="$(megabytes "$result_file" bytes_wire) over the wire, $(megabytes "$result_file" bytes_equal) were equal"
	result "phase two, wire" "$two bytes, $((two * 1000 / one / 10)).$((two * 1000 / one % 10)) % of phase one"
}

check_changes()
{
	local count

	guest_ssh "sha256sum $changed_files" >"$demo/changed.clone"
	cmp "$demo/changed.source" "$demo/changed.clone" || die "clone: changed files differ"
	! guest_ssh test -e $removed_file || die "clone: $removed_file was removed on the source"
	count=$(orders)
	[ "$count" = "$orders_two" ] || die "clone: $count orders, the source had $orders_two"
	step_note="$(wc -l <"$demo/changed.clone") changed files, $((count - 20000)) orders more than before phase one"
	result "changes" "$step_note"
}
