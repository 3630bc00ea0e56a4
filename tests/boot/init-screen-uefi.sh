#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# On UEFI the screen is a picture: held for inspection, the machine shows its last words there. They are
# told by the lengths of their words, as the font has cells of 8 x 16 points.
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
requires python3
boot_begin

boot_worker <<'END'
echo "these are the extraordinarily last words"
tell finish hold
END
qemu_machine 256
qemu_firmware uefi
boot_kernel
limit=$((90 * scale / 4))
vm_start boot $limit "${qemu[@]:1}"
vm_wait_serial boot $limit 'init: held for inspection' || fail "hold: no word about it"

# Rows of cells: "#" where a cell is not of one colour.
cells()
{
	rm -f "$dir/screen.ppm"
	vm_qmp boot "{\"execute\":\"screendump\",\"arguments\":{\"filename\":\"$dir/screen.ppm\"}}" >"$dir/qmp.out"
	python3 - "$dir/screen.ppm" <<-'END'
		import sys
		kind, size, _, points = open(sys.argv[1], "rb").read().split(b"\n", 3)
		assert kind == b"P6", kind
		width, height = map(int, size.split())
		for y in range(0, height - 15, 16):
		    lines = [points[3 * width * (y + n):3 * width * (y + n + 1)] for n in range(16)]
		    print("".join(".#"[any(l[24 * x:24 * x + 24] != lines[0][24 * x:24 * x + 3] * 8 for l in lines)]
		                  for x in range(width // 8)))
	END
}

on_screen()
{
	cells >"$dir/screen"
	grep -qE "(^|\\.)$(tr -c ' \n' '#' <<<"$1" | tr ' ' .)(\\.|\$)" "$dir/screen"
}
for ((i = 0; i < 100; i++)); do
	! on_screen 'held for inspection until the power button is pressed' || break
	sleep 0.2
done
for text in 'held for inspection until the power button is pressed' 'these are the extraordinarily last words'; do
	on_screen "$text" || fail "the screen does not show: $text; it shows: $(grep '#' "$dir/screen")"
done
! on_screen 'a text that is not there' || fail "the screen shows what nobody wrote"
vm_qmp boot '{"execute":"system_powerdown"}' >/dev/null
vm_wait boot $limit $limit || fail "hold: the power button does nothing"
expect_off guest-shutdown
