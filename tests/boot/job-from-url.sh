#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The kernel command line points to the job: it is fetched over HTTPS from the server with the
# pinned key, and from no other.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/media-lib.bash
. "$(dirname "$0")/media-lib.bash"
boot_begin
requires openssl python3
media_source
media_job
web=$dir/web
mkdir "$web"
mv "$dir/job.json" "$web/job.json"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=jobs \
	-keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.log"
pin=sha256//$(openssl x509 -in "$dir/cert.pem" -noout -pubkey | openssl pkey -pubin -outform DER |
	openssl dgst -sha256 -binary | base64)
web_port=$(vm_port)
vm_beside python3 - "$web" "$web_port" "$dir/cert.pem" "$dir/key.pem" >"$dir/web.log" 2>&1 <<'END' &
import functools, http.server, ssl, sys
folder, port, cert, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
END
cleanup+=("kill $!")

# boot_url PATH PIN
boot_url()
{
	qemu_new "$dir"
	rm -f "$dir/events"
	qemu_machine 192
	qemu_medium kernel "$image" virtio user "tw.job=https://10.0.2.2:$web_port/$1 tw.pin=$2"
	qemu_disk "$dir/target.raw,serial=TWTARGET"
	qemu_events "$dir/events"
	boot_run 120 60 || fail "the machine did not power off"
	expect_off guest-shutdown
}
last_code() { jq -rs '[.[] | select(.type == "error").err.code] | last // "NONE"' "$dir/events"; }

boot_url job.json sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
[ "$(last_code)" = CTL_PIN ] || fail "wrong pin: $(last_code)"
! grep -q 'GET ' "$dir/web.log" || fail "a request reached the server with the wrong key"

boot_url none.json "$pin"
[ "$(last_code)" = CFG_MISSING ] || fail "404: $(last_code)"

boot_url job.json "$pin"
[ "$(last_code)" = NONE ] || fail "the job failed: $(last_code)"
grep -q 'job from kernel-command-line' "$dir/events" || fail "the channel is not named"
cmp "$dir/source.raw" "$dir/target.raw" || fail "the target differs from the source"
