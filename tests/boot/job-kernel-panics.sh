#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A kernel that panics in the middle of each copy restarts the machine by itself, but not without end:
# max_starts times the job begins, then the volume and the controller have BOOT_LOOP and the machine
# goes off, though the job says to restart after a failure.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/job-lib.bash
. "$(dirname "$0")/job-lib.bash"
boot_begin
boot_controller
job_source 8
truncate -s 8M "$dir/target.raw"
# The real worker, and beside it what panics once the target is written to.
boot_worker <<'END'
echo "mode $1"
[ "$1" != run ] || while :; do
	read -r _ _ _ _ _ _ written _ </sys/block/vdb/stat
	[ "$written" -lt 4096 ] || { echo "panic now"; sleep 1; echo c >/proc/sysrq-trigger; }
	sleep 1
done &
exec /bin/worker.real "$@"
END
printf 'file /bin/worker.real %s 0755 0 0\n' "$top/build/worker/worker" >>"$dir/overlay.list"
"$image/gen_init_cpio" "$dir/overlay.list" >"$dir/overlay.cpio"
job_volume '.max_starts = 2 | .on_error = "reboot" | .bandwidth = "512K" | .report_deadline_s = 60'
qemu_disk "$dir/target.raw,serial=TW0"
# A panic is the kernel's own business here, and so is its restart.
for i in "${!qemu[@]}"; do
	case ${qemu[i]} in
	-no-reboot) unset "qemu[i]" ;;
	pvpanic | panic=exit-failure) unset "qemu[i-1]" "qemu[i]" ;;
	esac
done
qemu=("${qemu[@]/,bootindex=0/}")
boot_kernel "$(scripts/set-job --word "$dir/volume.raw")"
boot_run 400 150 || fail "the machine does not come to an end"
job_expect failed BOOT_LOOP
[ "$(grep -ac '^panic now' "$dir/boot/serial.log")" = 2 ] || fail "not 2 panics"
expect_serial '^mode run'
[ "$(jq -c '[.starts, .touched]' "$dir/result.json")" = '[3,true]' ] ||
	fail "$(jq -c '{starts, touched}' "$dir/result.json")"
[ "$(head -c 4096 "$dir/target.raw" | tr -d '\0' | wc -c)" = 0 ] || fail "the target may boot"
