#!/usr/bin/env bash
# A worker stops cleanly, starts again from its folder, and shares neither folder nor port.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

is_gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*Z' "/proc/$1/status"; }

claim "two machines make a swarm by ticket"
expect_exit 0 at first worker start --new private --swarm-name lab --slots 1
expect_stdout '^worker [a-z2-7]+ serves on port [0-9]+, state in '
expect_exit 0 at second --join "$(ticket first)" worker start --slots 1
within 10 linked_to first 1

claim "swarm peers names the other one, in each form of output"
expect_exit 0 at first swarm peers
expect_stdout '1 linked, 1 known'
expect_exit 0 at first swarm peers --output quiet
expect_stdout "^$(id_of second) up$"
expect_exit 0 at first swarm peers --output json
expect_stdout "\"id\":\"$(id_of second)\""

claim "a stopped worker has ended when worker stop returns 0, in mid-job as well"
job=$(submit_squares first 30 --arg 60)
within 20 accepted_at_least first "$job" 3
id=$(id_of second) pid=$(pid_of second) accepted=$(job second "$job" accepted)
port=$(status second port)
expect_exit 0 at second worker stop
is_gone "$pid" || fail "process $pid still runs after worker stop"
[ ! -e "$work/second/worker.sock" ] && [ ! -e "$work/second/worker.pid" ] || fail "worker stop left its socket or pid file behind"
expect_error 5 'no worker runs' at second worker status
expect_error 5 'no worker runs' at second worker stop

claim "it starts again without a ticket: same key, same port, nothing forgotten"
expect_exit 0 at second worker start --slots 1
expect_equal "$(id_of second)" "$id" "the key"
expect_equal "$(status second port)" "$port" "the port"
[ "$(job second "$job" accepted)" -ge "$accepted" ] || fail "accepted units were forgotten"
await_job second "$job"
expect_squares second "$job" 30

claim "a second worker on the same folder is refused, and the first serves on"
expect_error 75 'another starling process uses' at second worker start --slots 1
expect_exit 0 at second worker status

claim "a port in use is refused, and its owner serves on"
expect_error 75 "port $port" at third --join "$(ticket first)" worker start --slots 1 --port "$port"
expect_exit 0 at second worker status

claim "SIGTERM ends a worker in the foreground with exit code 0"
"$starling" --state "$work/third" --join "$(ticket first)" worker start --slots 1 --foreground >"$work/third.out" 2>&1 &
worker=$!
within 15 test -e "$work/third/worker.pid"
expect_equal "$(pid_of third)" $worker "the process that serves"
kill -TERM $worker
code=0
wait $worker || code=$?
expect_equal $code 0 "exit code of the worker"
