#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A preparation, killed before one system call of each kind: the guest gets back what it was.
# prepare-killed-everywhere is this for all calls, and on each file system.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

killed_preparation ext4 kinds
