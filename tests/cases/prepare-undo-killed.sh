#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# also: shipped
# An undo, killed before one system call of each kind, while it clears up as well: the next one ends it.
# shellcheck source=tests/cases/kill-lib.bash
. "$(dirname "$0")/kill-lib.bash"

killed_undo ext4 kinds
