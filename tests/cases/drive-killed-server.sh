#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 1200
# kill -9 of source-server at 50 random points of a copy, counted in bytes on the line (TW_POINTS
# and TW_SEED choose others), and a new one: the copy goes on by itself, or ends with a documented
# code and its next run continues; the target is byte for byte the source. Sanitized and release
# programs in turn.
# shellcheck source=tests/cases/drive-kill-lib.bash
. "$(dirname "$0")/drive-kill-lib.bash"
killed server
