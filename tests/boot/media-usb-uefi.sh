#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The image starts from a USB stick on UEFI and does a whole job; the result is on the stick.
# list: matrix
# shellcheck source=tests/boot/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/boot/media-lib.bash
. "$(dirname "$0")/media-lib.bash"
media_test uefi usb
