#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Block size limits of a server are kept: a policy that refuses what does not fit is never met.
# A server that takes one connection only is used with one.
# shellcheck source=tests/cases/copy-lib.bash
. "$(dirname "$0")/copy-lib.bash"
make_source "$work/src" 20

for limits in "4096 65536 65536" "512 4096 32768" "65536 65536 262144" "4096 131072 4294967295"; do
	read -r min preferred max <<<"$limits"
	nbd -r --filter=blocksize-policy file "$work/src" blocksize-minimum="$min" \
		blocksize-preferred="$preferred" blocksize-maximum="$max" blocksize-error-policy=error
	rm -f "$work/dst"
	good --verify=full "$uri" "$work/dst"
	cmp "$work/src" "$work/dst" || fail "$limits"
	[ "$(value retries)" = 0 ] || fail "$limits: a request was refused"
	stop nbdkit
done

nbd -r --filter=limit file "$work/src" limit=1
rm -f "$work/dst"
good "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
stop nbdkit

# A server that still counts connections which are closed denies the drive to the next ones: it has
# been seen once, so that is waited for. A drive that is never there again ends the copy.
deny() {
	echo 0 >"$work/opens"
	cat >"$work/plugin" <<-END
		case \$1 in
		open)	n=\$(flock $work/opens sh -c 'n=\$((\$(cat $work/opens) + 1)); echo \$n >$work/opens; echo \$n')
			[ \$n -eq 1 ] || [ \$n -gt $1 ] || { echo "EBUSY denied" >&2; exit 1; } ;;
		get_size) stat -c %s $work/small ;;
		pread) dd if=$work/small iflag=skip_bytes,count_bytes skip=\$4 count=\$3 bs=64K status=none ;;
		*) exit 2 ;;
		esac
	END
	chmod +x "$work/plugin"
	nbd -r sh "$work/plugin"
}
make_source "$work/small" 3
deny 5
rm -f "$work/dst"
good "$uri" "$work/dst"
cmp "$work/small" "$work/dst"
[ "$(value retries)" -ge 4 ] || fail "no connection was denied"
stop nbdkit
deny 1000000
rm -f "$work/dst"
bad SRC_NO_DRIVE "$uri" "$work/dst"
stop nbdkit

# Without the multi-conn flag there is one connection at a time.
nbd -r --filter=log --filter=multi-conn file "$work/src" multi-conn-mode=disable \
	logfile="$work/nbd.requests"
rm -f "$work/dst"
good "$uri" "$work/dst"
cmp "$work/src" "$work/dst"
# The one of the copy reads the first MiB, too.
n=$(grep -o 'connection=[0-9]* Read' "$work/nbd.requests" | sort -u | wc -l)
[ "$n" = 1 ] || fail "$n connections read"
