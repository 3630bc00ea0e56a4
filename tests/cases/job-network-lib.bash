# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # the tests use what is set here
# For tests of the job's network, sourced after job-lib.bash inside a network and mount namespace:
# $root is a tree with the image's own programs, eth0 ($mac) the worker's adapter, `peer` its cable's
# other end.

network_root() {
	root=$work/root
	mac=52:54:00:00:00:01
	mkdir -p "$root"/{bin,etc,run,tmp,proc,sys,dev,usr/share/udhcpc}
	cp "${WORKER_STATIC:-build/worker/worker}" "$root/bin/worker"
	cp build/parts/musl/bin/busybox "$root/bin/"
	for tool in sh ip grep mv; do
		ln -s busybox "$root/bin/$tool"
	done
	cp initramfs/default.script "$root/usr/share/udhcpc/"
	mount -t proc proc "$root/proc"
	mount -t sysfs sysfs "$root/sys"
	mount --rbind /dev "$root/dev"
	cleanup_fn 'umount -l "$root/proc" "$root/sys" "$root/dev"'
	ip link set lo up
	ip link add eth0 address $mac type veth peer name peer
}

network_down() {
	ip addr flush dev eth0
	ip link set eth0 down
	rm -f "$root/etc/resolv.conf"
}
