#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# NBD over TLS with PSK and X.509 copies; whatever is wrong with key, certificate or name, or a
# server that does not do TLS, or one that insists on it, is refused before a byte of data.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
requires psktool certtool nbd-server
make_source "$work/src" 6 123
chmod 700 "$work"
psktool -u alice -p "$work/keys.psk" >"$work/psktool.log" 2>&1
psktool -u bob -p "$work/bob.psk" >"$work/psktool.log" 2>&1
(umask 077; printf 'alice:%s\n' "$(printf '%064x' 5)" >"$work/wrong.psk")

same() {
	good --verify=full "$1" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "$1"
	rm "$work/dst"
}

port=$(free_port)
start psk nbdkit -f -r -i 127.0.0.1 -p "$port" --tls=require --tls-psk="$work/keys.psk" file "$work/src"
wait_for 10 listens "$port"
same "nbds://alice@127.0.0.1:$port/?tls-psk-file=$work/keys.psk"
# GnuTLS just hangs up on an unknown user, and cannot say so for a wrong key either.
refused() {
	copy "$1" "$work/dst"
	[[ $status = 4 && $(value 'errors[0].code') = SRC_@(AUTH|TLS) ]] || fail "$1: $(value 'errors[0].code')"
}
refused "nbds://bob@127.0.0.1:$port/?tls-psk-file=$work/bob.psk"
refused "nbds://alice@127.0.0.1:$port/?tls-psk-file=$work/wrong.psk"
bad SRC_TLS "nbd://127.0.0.1:$port/" "$work/dst"
copy "nbds://carol@127.0.0.1:$port/?tls-psk-file=$work/keys.psk" "$work/dst"
[ $status != 0 ] || fail "a user without a key got in"
! grep -rq "$(cut -d: -f2 "$work/keys.psk")" "$work/copy.log" "$work/copy.json" || fail "the key is in the log"
stop psk

certificate() { # NAME TEMPLATE-LINES... : $work/NAME/{ca,server}-{key,cert}.pem
	local dir=$work/$1
	shift
	mkdir "$dir"
	certtool --generate-privkey --outfile "$dir/ca-key.pem" 2>"$work/certtool.log"
	printf 'cn = "test CA"\nca\ncert_signing_key\n' >"$dir/ca.tmpl"
	certtool --generate-self-signed --load-privkey "$dir/ca-key.pem" --template "$dir/ca.tmpl" \
		--outfile "$dir/ca-cert.pem" 2>"$work/certtool.log"
	certtool --generate-privkey --outfile "$dir/server-key.pem" 2>"$work/certtool.log"
	printf '%s\n' 'organization = "test"' tls_www_server encryption_key signing_key "$@" >"$dir/server.tmpl"
	certtool --generate-certificate --load-ca-certificate "$dir/ca-cert.pem" \
		--load-ca-privkey "$dir/ca-key.pem" --load-privkey "$dir/server-key.pem" \
		--template "$dir/server.tmpl" --outfile "$dir/server-cert.pem" 2>"$work/certtool.log"
}
x509() { # NAME: a server with these certificates on $port
	port=$(free_port)
	start "tls-$1" nbdkit -f -r -i 127.0.0.1 -p "$port" --tls=require \
		--tls-certificates="$work/$1" file "$work/src"
	wait_for 10 listens "$port"
}
certificate good 'cn = "localhost"' 'dns_name = "localhost"' 'ip_address = "127.0.0.1"'
certificate other 'cn = "other.example"' 'dns_name = "other.example"'
certificate expired 'dns_name = "localhost"' 'activation_date = "2020-01-01 00:00:00"' \
	'expiration_date = "2020-02-01 00:00:00"'

x509 good
same "nbds://localhost:$port/?tls-certificates=$work/good"
same "nbds://127.0.0.1:$port/?tls-certificates=$work/good"
bad SRC_PIN "nbds://localhost:$port/?tls-certificates=$work/other" "$work/dst"
bad SRC_PIN "nbds://localhost:$port/?tls-certificates=$work/good&tls-hostname=evil.example" "$work/dst"
x509 other
bad SRC_PIN "nbds://localhost:$port/?tls-certificates=$work/other" "$work/dst"
same "nbds://localhost:$port/?tls-certificates=$work/other&tls-hostname=other.example"
x509 expired
bad SRC_PIN "nbds://localhost:$port/?tls-certificates=$work/expired" "$work/dst"

# The oldest version that the specification asks for; those before it are refused.
old_tls() { # PRIORITY
	stop qemu-nbd
	port=$(free_port)
	start qemu-nbd qemu-nbd -r -t -f raw -b 127.0.0.1 -p "$port" --tls-creds tls0 \
		--object "tls-creds-x509,id=tls0,endpoint=server,verify-peer=no,dir=$work/good,priority=$1" "$work/src"
	wait_for 10 listens "$port"
}
old_tls NORMAL:-VERS-ALL:+VERS-TLS1.2
qemu_size=$(($(stat -c %s "$work/src") + 511 & ~511)) # qemu-nbd rounds up to sectors
good --debug "nbds://localhost:$port/?tls-certificates=$work/good" "$work/dst"
[ "$(value bytes_total)" = $qemu_size ] && cmp -n "$(stat -c %s "$work/src")" "$work/src" "$work/dst" ||
	fail "TLS 1.2"
rm "$work/dst"
old_tls NORMAL:-VERS-ALL:+VERS-TLS1.1
bad SRC_TLS "nbds://localhost:$port/?tls-certificates=$work/good" "$work/dst"
stop qemu-nbd

# nbd-server wants a certificate of its clients, too.
mkdir "$work/client"
cp "$work/good/ca-cert.pem" "$work/client/"
certtool --generate-privkey --outfile "$work/client/client-key.pem" 2>"$work/certtool.log"
printf '%s\n' 'cn = "worker"' tls_www_client encryption_key signing_key >"$work/client.tmpl"
certtool --generate-certificate --load-ca-certificate "$work/good/ca-cert.pem" \
	--load-ca-privkey "$work/good/ca-key.pem" --load-privkey "$work/client/client-key.pem" \
	--template "$work/client.tmpl" --outfile "$work/client/client-cert.pem" 2>"$work/certtool.log"
port=$(free_port)
cat >"$work/nbd-server.conf" <<-END
	[generic]
	certfile = $work/good/server-cert.pem
	keyfile = $work/good/server-key.pem
	cacertfile = $work/good/ca-cert.pem
	force_tls = true
	listenaddr = 127.0.0.1
	port = $port
	[disk]
	exportname = $work/src
	readonly = true
END
nbd-server -C "$work/nbd-server.conf" -p "$work/nbd-server.pid"
cleanup_fn 'kill "$(cat "$work/nbd-server.pid")"'
wait_for 10 listens "$port"
same "nbds://localhost:$port/disk?tls-certificates=$work/client"
copy "nbds://localhost:$port/disk?tls-certificates=$work/good" "$work/dst"
[ $status = 4 ] || fail "let in without a certificate"
bad SRC_TLS "nbd://localhost:$port/disk" "$work/dst"
bad SRC_PIN "nbds://localhost:$port/disk?tls-certificates=$work/other" "$work/dst"

nbd -r --tls=off file "$work/src"
bad SRC_TLS "nbds+unix:///?socket=$sock&tls-psk-file=$work/keys.psk" "$work/dst"
stop nbdkit
[ ! -e "$work/dst" ] || fail "a target was made"
