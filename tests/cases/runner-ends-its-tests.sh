#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whoever ends tests/run ends the tests it runs: in process groups of their own they would live on,
# and keep their ports, their emulator and its lock.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

name=${work##*/}
cat >"$work/$name.sh" <<END
#!/bin/bash
echo \$\$ >"$work/test.pid"
sleep 100000 &
echo \$! >"$work/child.pid"
wait
END
cleanup_fn "rm -f build/test/$name.log"
start run tests/run "$work/$name.sh"
wait_for 30 test -s "$work/child.pid"
kill "${started[run]}"
ended() { ! kill -0 "$(<"$work/$1.pid")" 2>&-; }
wait_for 30 ended test
wait_for 30 ended child
echo "a test and its child ended with the run"
