#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# limit: 1200
# kill -9 of a copy over NBD with a local journal, at 50 random points counted in bytes on the line
# (TW_POINTS and TW_SEED choose others): what it leaves is nothing, a head of which the first block is held
# back, or the whole; the next run believes the journal and the target is byte for byte the source.
# Sanitized and release programs in turn.
# shellcheck source=tests/cases/drive-kill-lib.bash
. "$(dirname "$0")/drive-kill-lib.bash"
requires nbdkit
killed nbd
