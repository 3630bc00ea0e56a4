#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is published beside the image is true: sizes, sums and offsets of manifest.json are those of
# the files, every third-party source of the lock is a component with version, licence and sum, and
# the SBOM has the same ones. A job is one write at the published offset: set-job changes nothing
# else, removes what an earlier run left, and refuses what is no image and what does not fit.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq mcopy mdir fsck.fat cpio xorriso
image=$top/build/image
manifest=$image/manifest.json
[ -f "$manifest" ] || fail "$manifest: run make image"
value() { jq -er "$1" "$manifest"; }

for part in image kernel initramfs; do
	file=$image/$(value ".$part.name")
	[ "$(stat -c %s "$file")" = "$(value ".$part.size")" ] || fail "$part: size"
	sha256sum "$file" | grep -q "^$(value ".$part.sha256") " || fail "$part: sum"
done
# What a worker says of itself when it registers (facts.image.worker_sha256).
sha256sum build/worker/worker | grep -q "^$(value .worker.sha256) " || fail "another worker"
iso=$image/target-worker.iso
[ "$(value .image.size)" -le $((16 << 20)) ] || fail "the image is larger than 16 MB"
dd if="$iso" bs=4k iflag=skip_bytes,count_bytes skip="$(value .kernel_in_image.offset)" \
	count="$(value .kernel_in_image.length)" of="$work/kernel" status=none
cmp "$work/kernel" "$image/target-worker.efi" || fail "the kernel is not where the manifest says"
offset=$(value .twconfig.offset)
[ "$(scripts/twconfig-offset "$iso")" = "$offset" ] || fail "TWCONFIG is not where the manifest says"

# The image knows itself in its volume.
id=$(value .id)
[ "$(dd if="$iso" bs=1 skip=$((32768 + 190)) count=64 status=none)" = "$id" ] || fail "the ISO has another id"
[ "$(cpio -i --quiet --to-stdout etc/image-id <"$image/initramfs.cpio")" = "$id" ] ||
	fail "the initramfs has another id"
# What the BIOS loader reads lies in TWCONFIG, so that one write changes both.
xorriso -indev "$iso" -osirrox on -extract /isolinux/volume.cfg "$work/volume.cfg" 2>"$work/xorriso.log" ||
	fail "no volume.cfg: $(tail -n 1 "$work/xorriso.log")"
dd if="$iso" bs=1 skip=$((offset + 2048)) count=512 status=none | cmp - "$work/volume.cfg" ||
	fail "volume.cfg is not in TWCONFIG"

# Components: those of the lock that are in the image; the compiler's run-time library and the BIOS
# loader are the build machine's packages.
jq -r '.components[1:][] | "\(.name) \(.version) \(.sha256)"' "$manifest" | sort >"$work/listed"
awk '!/^#/ && NF { print $1, $2, $4 }' scripts/sources.lock | sort >"$work/locked"
grep -vE '^(isolinux|syslinux|libgcc) ' "$work/listed" | comm -23 - "$work/locked" >"$work/odd"
[ ! -s "$work/odd" ] || fail "not of sources.lock: $(cat "$work/odd")"
for name in linux musl busybox util-linux lz4 xxhash mbedtls efivar curl yyjson lvm2 mdadm; do
	grep -q "^$name " "$work/listed" || fail "$name is not in the manifest"
done
jq -e 'all(.components[]; (.version | length > 0) and (.licence | length > 0))' "$manifest" \
	>"$work/jq.log" || fail "a component without version or licence"
jq -e '.bomFormat == "CycloneDX" and .specVersion == "1.5" and all(.components[];
	(.name | length > 0) and (.version | length > 0) and (.licenses[0].expression | length > 0) and
	.hashes[0].alg == "SHA-256" and (.hashes[0].content | test("^[0-9a-f]{64}$")))' \
	"$image/sbom.cdx.json" >"$work/jq.log" || fail "the SBOM is not complete"
jq -r '.components[] | "\(.name) \(.version) \(.hashes[0].content)"' "$image/sbom.cdx.json" | sort |
	diff - "$work/listed" || fail "SBOM and manifest differ"

# One write: only TWCONFIG changes, and the file system there is sound.
cp "$iso" "$work/volume"
truncate -s 32M "$work/volume"
cp "$work/volume" "$work/before"
echo '{"version": 1}' >"$work/job.json"
scripts/set-job "$work/volume" "$work/job.json"
length=$(value .twconfig.length)
cmp -n "$offset" "$work/volume" "$work/before" || fail "something before TWCONFIG changed"
cmp -i $((offset + length)) "$work/volume" "$work/before" || fail "something behind TWCONFIG changed"
at="$work/volume@@$offset"
[ "$(scripts/read-result "$work/volume" job.json)" = '{"version": 1}' ] || fail "another job is read"
dd if="$work/volume" of="$work/fat" bs=4k iflag=skip_bytes,count_bytes skip="$offset" count="$length" \
	status=none
fsck.fat -n "$work/fat" >"$work/fsck.log" || fail "the file system is damaged: $(cat "$work/fsck.log")"
echo old | mcopy -i "$at" - ::result.json
echo old | mcopy -i "$at" - ::worker.log
scripts/set-job "$work/volume" "$work/job.json"
status=0
scripts/read-result "$work/volume" 2>"$work/read.log" || status=$?
[ $status = 3 ] || fail "the result of an earlier run is still there (status $status)"
! mdir -b -i "$at" ::worker.log >"$work/mdir.log" 2>&1 || fail "an old log is still there"

# refused REGEX FILE JOB: and the file is as it was
refused()
{
	cp "$2" "$work/as-it-was"
	! scripts/set-job "$2" "$3" >"$work/refused.log" 2>&1 || fail "$2: accepted"
	grep -q "$1" "$work/refused.log" || fail "$2: $(cat "$work/refused.log")"
	cmp "$2" "$work/as-it-was" || fail "$2: was written to"
}
head -c 32M /dev/zero >"$work/zeroes"
refused 'no TWCONFIG partition' "$work/zeroes" "$work/job.json"
make_disk "$work/disk" 16
refused 'no TWCONFIG partition' "$work/disk" "$work/job.json"
refused 'no such file' "$work/volume" "$work/none.json"
head -c 3M /dev/zero >"$work/large.json"
refused . "$work/volume" "$work/large.json"
