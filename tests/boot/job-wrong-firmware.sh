#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that starts from BIOS only comes to a VM with UEFI: FW_MISMATCH, the target cannot start
# and nothing was prepared. After the VM got the other firmware the same job ends well:
# its secrets were kept for that, and are gone then.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
# shellcheck source=tests/boot/stack-lib.bash
. "$(dirname "$0")/stack-lib.bash"
boot_begin
stack_tree
stack_image "$dir/root.img" 44
job_source 48
dd if="$dir/root.img" of="$dir/source.raw" bs=1M seek=1 conv=notrunc status=none
truncate -s 48M "$dir/target.raw"

memory=256
job_volume '.prepare = {keys: ["passphrase of a volume", {key_base64: "a2V5IG9mIGEgdm9sdW1l"}]} |
	.extensions = [{when: "pre-mount", run: "# a password of the operator\n:"}]'
secrets=("${psk#*:}" 'passphrase of' a2V5IG9mIGEg 'password of the operator')
qemu_firmware uefi
qemu_disk "$dir/target.raw,serial=TW0"
boot_run 120 60 || fail "the machine did not power off"
job_expect failed FW_MISMATCH
jq -e '.err.text == "the guest starts from BIOS only, this VM has UEFI" and .prepare.changes == []' \
	"$dir/result.json" >"$dir/jq.log" || fail "$(jq -c '{err, changes: .prepare.changes}' "$dir/result.json")"

for word in "${secrets[@]}"; do
	grep -aqF -- "$word" "$dir/volume.raw" || fail "$word is gone before the job has ended"
done

qemu_new "$dir"
qemu_machine 256
qemu_disk "$dir/volume.raw,boot=0"
qemu_nic virtio user
rm "$dir/events"
qemu_events "$dir/events"
qemu_disk "$dir/target.raw,serial=TW0"
boot_run 120 60 || fail "the machine did not power off"
scripts/read-result "$dir/volume.raw" >"$dir/result.json"
[ "$(jq -r '"\(.verdict) \(.prepare.verdict)"' "$dir/result.json")" = "success boots" ] ||
	fail "with BIOS: $(jq -c '{verdict, err}' "$dir/result.json")"
for word in "${secrets[@]}"; do
	! grep -aqF -- "$word" "$dir/volume.raw" || fail "$word is still on the volume"
done
