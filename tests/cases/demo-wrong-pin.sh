#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job whose controller has another key or does not take the token ends before the target is
# touched, with the result kept beside the job; the same job with the right pin goes through.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
requires jq openssl sfdisk ss

controller=$top/build/controller/controller
make_disk "$work/source.raw" 16
serve "$work/source.raw"
make_target 16
boss_port=$(free_port)
start controller "$controller" serve --state "$work/state" --listen "127.0.0.1:$boss_port"
wait_for 20 grep -q '^pin ' "$work/controller.log"
job
"$controller" job new --state "$work/state" --template "$work/job.json" --migration m-1 \
	--url "https://127.0.0.1:$boss_port/v1" >"$work/right.json"

wrong=sha256//$(openssl rand -base64 32)
jq --arg pin "$wrong" '.controller.pins = [$pin]' "$work/right.json" >"$work/job.json"
run_job 60
expect_code CTL_PIN
expect_untouched

jq '.controller.token |= ascii_upcase + "x"' "$work/right.json" >"$work/job.json"
run_job 60
expect_code CTL_AUTH
expect_untouched

cp "$work/right.json" "$work/job.json"
run_job 120
[ "$status" -eq 0 ] || fail "the right pin: $(jq -c .err "$work/result.json")"
[ "$(jq .acknowledged "$work/result.json")" = true ] || fail "the result was not acknowledged"
"$controller" wait --state "$work/state" m-1 --for result --timeout 20 >"$work/stored.json"
[ "$(jq -r .verdict "$work/stored.json")" = success ] || fail "the controller has another verdict"
cmp "$work/source.raw" "$work/target.raw" || fail "the copy differs"
