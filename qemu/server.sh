# SPDX-License-Identifier: Apache-2.0
# The steps of `migrate` in which the server's own system runs, first as the source and then as the
# clone, and is asked over SSH. Sourced after steps.sh.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of migrate, steps.sh and the guest's guest.env

freeze=auto # source-server's --freeze
ssh_port=$(vm_port) # on this machine's loopback

# One connection a machine for all that is asked: making one takes the emulated processor seconds.
ssh_at=$(mktemp -d) # short, as names of sockets have to be
ssh_vm=source

guest_ssh()
{
	(vm_beside ssh -q -i "$guest_dir/ssh_key" -p "$ssh_port" -o UserKnownHostsFile="$guest_dir/known_hosts" \
		-o HostKeyAlias="$address" -o StrictHostKeyChecking=yes -o BatchMode=yes \
		-o ControlMaster=auto -o ControlPath="$ssh_at/$ssh_vm" -o ControlPersist=yes \
		-o ConnectTimeout=5 root@127.0.0.1 "$@")
}

# wait_login VM SECONDS: with the host key of the source, so nobody else can answer.
wait_login()
{
	local end=$((SECONDS + $2))

	ssh_vm=$1
	until guest_ssh true; do
		if ! vm_runs "$1"; then
			die "$1: went off before it could be logged in to"
		elif [ $SECONDS -ge $end ]; then
			vm_autopsy "$1"
			die "$1: no login on $address after $2 s; console: $demo/$1/serial.log"
		fi
		show_progress "waiting for $address"
		sleep 2
	done
}

start_source()
{
	local args

	cp --sparse=always "$guest_dir/disk.raw" "$demo/source.raw"
	[ "$firmware" = bios ] || cp "$guest_dir/vars.fd" "$demo/source-vars.fd"
	mapfile -t args < <(
		vm_vmware_args "$firmware" "$demo/source.raw" "$source_mac" \
			"net=$net,host=$host,restrict=on,hostfwd=tcp:127.0.0.1:$ssh_port-$address:22,hostfwd=tcp:127.0.0.1:$source_port-$address:5994"
		[ "$firmware" = bios ] || vm_uefi_args "$demo/source-vars.fd"
	)
	vm_start source 5400 "${args[@]}"
	wait_login source 400
	step_note="$(guest_ssh 'hostname; systemd-detect-virt; uname -r' | paste -sd' ') at $address"
	result "source" "$step_note"
}

# In memory of the source: the migration leaves no file on its disk.
start_source_server()
{
	psk=migrate:$(openssl rand -hex 32)
	guest_ssh 'if systemctl -q is-active source-server; then systemctl stop source-server; fi;
		cat >/dev/shm/source-server && chmod 755 /dev/shm/source-server' <build/worker/source-server
	guest_ssh 'umask 077; cat >/dev/shm/psk' <<<"$psk"
	guest_ssh systemd-run -q --collect --unit=source-server /dev/shm/source-server \
		--drive sda=/dev/sda --listen 0.0.0.0:5994 --psk-file /dev/shm/psk --freeze "$freeze"
	guest_ssh 'for i in 1 2 3 4 5 6 7 8 9 10; do
		ss -ltn | grep -q :5994 && exit 0; sleep 1; done; journalctl -u source-server --no-pager; exit 1' \
		>"$demo/source-server.log" || die "source-server did not start: $(tail -n 2 "$demo/source-server.log")"
	step_note="port 5994, TLS with a pre-shared key"
}

# Reads the file only: no journal of its own beside it.
database()
{
	guest_ssh "sha256sum /srv/db/orders.db
		sqlite3 'file:/srv/db/orders.db?immutable=1' 'SELECT count(*), sum(cents) FROM orders'"
}

retire_source()
{
	database >"$demo/database.source"
	# It has to stop by itself: what is frozen has to be thawed.
	guest_ssh timeout 20 systemctl stop source-server || die "source: source-server does not stop"
	guest_ssh systemctl poweroff || :
	vm_wait source 180 120
	step_note=$(vm_off_reason source)
	[ "$step_note" = guest-shutdown ] || die "source: $step_note"
}

start_clone()
{
	local args=("${target_args[@]}") i

	for i in "${!args[@]}"; do
		args[i]=${args[i]/,dhcpstart=192.168.77.100/,restrict=on,hostfwd=tcp:127.0.0.1:$ssh_port-$address:22}
	done
	clone_since=$SECONDS
	vm_start clone 1800 "${args[@]}"
	step_note="virtio-blk and virtio-net only"
}

check_clone()
{
	wait_login clone 500
	guest_ssh 'hostname; systemd-detect-virt; ip -br address show scope global; lsmod; lsblk -o NAME,SERIAL,MOUNTPOINT
		dpkg-query -W -f "\${db:Status-Abbrev} \${Package}\n" open-vm-tools; systemctl is-system-running --wait' \
		>"$demo/clone.txt" 2>&1 || :
	grep -q '^virtio_blk' "$demo/clone.txt" || die "clone: no virtio_blk module, see $demo/clone.txt"
	grep -q '^virtio_net' "$demo/clone.txt" || die "clone: no virtio_net module, see $demo/clone.txt"
	! grep -q '^ii *open-vm-tools' "$demo/clone.txt" || die "clone: open-vm-tools is still installed"
	[ "$(head -n 1 "$demo/clone.txt")" = "$hostname" ] || die "clone: wrong host name"
	database >"$demo/database.clone"
	cmp "$demo/database.source" "$demo/database.clone" || die "clone: the database differs"
	step_note="$hostname answers with its old host key, $(tail -n 1 "$demo/clone.txt")"
	result "clone" "login at $address $(clock $((SECONDS - clone_since))) after power-on, on $(sed -n 2p "$demo/clone.txt"), system $(tail -n 1 "$demo/clone.txt")"
	result "database" "$(tail -n 1 "$demo/database.clone" | tr '|' '/') orders/cents, identical"
}

stop_clone()
{
	guest_ssh systemctl poweroff || :
	vm_wait clone 180 120
	step_note=$(vm_off_reason clone)
	[ "$step_note" = guest-shutdown ] || die "clone: $step_note"
}
