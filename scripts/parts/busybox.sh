# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# initramfs/busybox.config lists what is wanted over an empty configuration; a wish that does not
# come true stops the build and is named.
part_flavours=musl
part_inputs=initramfs/busybox.config

part_build()
{
	local wish missing=0

	# The partial links of its build take no flags of a final one.
	unset LDFLAGS
	export KCONFIG_NOTIMESTAMP=1
	grep '^CONFIG_' "$ROOT/initramfs/busybox.config" >wishes
	# Everything known, switched off, with the wishes after it; numbers and paths keep defaults.
	make -s HOSTCC="$HOSTCC" allyesconfig
	sed -E 's/^(CONFIG_[A-Z0-9_]+)=y$/# \1 is not set/' .config >off
	awk -F= 'NR == FNR { wish[$1]; print; next }
		{ name = $1; sub(/^# /, "", name); sub(/ is not set$/, "", name) }
		!(name in wish)' wishes off >.config
	make -s HOSTCC="$HOSTCC" oldconfig </dev/null
	while read -r wish; do
		grep -qxF "$wish" .config || {
			echo "busybox: $wish is not in the final configuration"
			missing=1
		}
	done <wishes
	[ $missing -eq 0 ]
	make -s -j"$JOBS" CC="$CC" AR="$AR" HOSTCC="$HOSTCC" SKIP_STRIP=y \
		EXTRA_CFLAGS="-ffile-prefix-map=$WORK=/part" busybox_unstripped
	mkdir -p "$OUT/bin" "$OUT/share/busybox"
	strip -o "$OUT/bin/busybox" busybox_unstripped
	make -s busybox.links
	cp busybox.links "$OUT/share/busybox/links"
}
