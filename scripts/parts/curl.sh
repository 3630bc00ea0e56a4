# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# libcurl, HTTPS only: what the worker says to its controller. Certificates come from the job (pins
# or a CA in it), so no CA store of the build machine is compiled in.
part_needs="libsodium ipsec-mb mbedtls"

part_build()
{
	local off option args=()

	off="shared dict file ftp gopher imap ipfs ldap ldaps mqtt pop3 rtsp smb smtp telnet tftp"
	off+=" websockets alt-svc ares aws cookies dateparse digest-auth docs doh ech form-api hsts"
	off+=" kerberos-auth libcurl-option manual mime negotiate-auth netrc ntlm progress-meter sspi"
	off+=" tls-srp unix-sockets"
	for option in $off; do
		args+=("--disable-$option")
	done
	# Configure's own test programs need what libmbedcrypto needs.
	LIBS="-lsodium -lipsec-mb-gcm" ./configure --build=x86_64-pc-linux-gnu --host=x86_64-pc-linux-gnu --prefix=/ \
		--enable-static "${args[@]}" --enable-threaded-resolver \
		--with-mbedtls="$DEPS" --without-ca-bundle --without-ca-path \
		--without-zlib --without-brotli --without-zstd --without-nghttp2 --without-ngtcp2 \
		--without-libpsl --without-libidn2 --without-libssh2 --without-librtmp
	make -s -j"$JOBS" -C lib libcurl.la
	install_to lib lib/.libs/libcurl.a
	mkdir -p "$OUT/include"
	cp -r include/curl "$OUT/include/"
	rm -f "$OUT"/include/curl/Makefile*
}
