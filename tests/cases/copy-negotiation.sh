#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Servers and exports that do not fit are refused with their own code and nothing is written:
# old-style and not fixed handshakes, no such export, another protocol, nobody there.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 2

nbd -r --mask-handshake=0 file "$work/src"
bad SRC_VERSION "$uri" "$work/dst"
stop nbdkit
nbd -r -o file "$work/src"
bad SRC_VERSION "$uri" "$work/dst"
stop nbdkit

start qemu-nbd qemu-nbd -r -t -x disk -f raw -k "$work/q.sock" "$work/src"
wait_for 10 test -S "$work/q.sock"
bad SRC_NO_DRIVE "nbd+unix:///other?socket=$work/q.sock" "$work/dst"
bad SRC_NO_DRIVE --delta --bitmap b0 "nbd+unix:///disk?socket=$work/q.sock" "$work/dst"

port=$(free_port)
start http python3 -c "
import socket
s = socket.create_server(('127.0.0.1', $port))
while True:
	c, _ = s.accept()
	c.sendall(b'SSH-2.0-OpenSSH_9.2p1\r\n')
	c.close()"
wait_for 10 listens "$port"
bad SRC_PROTO "nbd://127.0.0.1:$port/" "$work/dst"
bad SRC_CONNECT "nbd://127.0.0.1:1/" "$work/dst"
bad NET_DNS "nbd://no-such-host.invalid/" "$work/dst"
bad USAGE "ftp://x/" "$work/dst"
bad USAGE "nbd://x/?socket=/y&z=1" "$work/dst"
bad USAGE "nbds://x/" "$work/dst"
[ ! -e "$work/dst" ] || fail "a target was made"
