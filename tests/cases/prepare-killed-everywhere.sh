#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 28800
# list: matrix
# Killed before each system call that changes something, in a preparation, an undo and a rollback, on
# ext4, XFS and btrfs: the guest gets back what it was.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

for type in ext4 xfs btrfs; do
	killed_preparation $type all
	killed_undo $type all
	killed_rollback $type all
done
