#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A preparation that fails, killed before one system call of each kind while it goes back: the guest gets
# back what it was.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

killed_rollback ext4 kinds
