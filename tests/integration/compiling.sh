#!/usr/bin/env bash
# A program that the compiler cannot handle runs all the same and stalls nobody; what runs here and how is told; pause and resume.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." && . tests/integration/lib/lib.sh

large=$work/large.wasm
now_ms() { echo $(($(date +%s%N) / 1000000)); }
state_of_executors() { # of the worker's executors: their state letters, sorted and once each
  local pid
  for pid in $(pgrep -f -- "starling-executor --serve $XDG_CACHE_HOME/starling/aot"); do
    sed 's/.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null
  done | sort -u | tr -d '\n'
}
export XDG_CACHE_HOME=$work/cache # nothing is compiled yet, and no other worker's executors are looked at

claim "60 MB: the interpreter runs it, small units beside it do not wait, the compiler's memory is bounded"
"$tree/tests/large_program" write "$large" 60000000
"$tree/tests/large_program" run "$large" "$(guest noop)" "$tree/starling-executor" "$work/native" >"$work/trial" ||
  fail "the trial failed"$'\n'"$(cat "$work/trial")"
sed 's/^/   /' "$work/trial"
grep -q 'MiB of memory; interpreted' "$work/trial" || fail "no word of why it is interpreted"

claim "20 MB through a worker: another job goes on meanwhile, job info says why it is interpreted"
"$tree/tests/large_program" write "$large" 20000000
expect_exit 0 at lab worker start --new development --slots 2
big=$(at lab submit "$large" --array 1-1 --class trusted --output quiet 2>>"$work/notes")
small=$(submit_squares lab 20 --class trusted)
await_job lab "$small"
expect_squares lab "$small" 20
await_job lab "$big" 240s
expect_exit 0 at lab job info "$big"
expect_stdout 'the compiler failed at level 0: it needed more than [0-9]+ MiB of memory; interpreted'
expect_exit 0 at lab job info "$big" --output json
expect_stdout '"note":"the compiler failed at level 0'

claim "pause: programs stand still at once, the status says so, nothing is claimed or started; resume: they go on"
long=$(submit_squares lab 60 --class trusted --arg 300)
within 20 accepted_at_least lab "$long" 2
before=$(now_ms)
expect_exit 0 at lab worker pause
note "told after $(($(now_ms) - before)) ms"
expect_stdout 'worker paused'
sleep 0.1
expect_equal "$(state_of_executors)" T "the executors' states 100 ms later"
expect_exit 0 at lab worker status
expect_stdout 'state +paused'
expect_equal "$(status lab paused)" True "status: paused"
[ "$(job lab "$long" running_here)" -le 2 ] || fail "units that wait for a slot were not given back"
at_pause=$(job lab "$long" executions)
sleep 2 # longer than a unit takes
expect_equal "$(job lab "$long" executions)" "$at_pause" "executions while paused"
expect_equal "$(state_of_executors)" T "the executors' states"

claim "a pause outlives a restart; resume ends it, and the job finishes"
expect_exit 0 at lab worker stop
expect_exit 0 at lab worker start --slots 2
expect_stdout 'paused'
sleep 1
expect_equal "$(job lab "$long" executions)" "$at_pause" "executions after the restart"
expect_exit 0 at lab worker resume --output json
expect_stdout '"paused":false'
expect_equal "$(status lab paused)" False "status: paused"
await_job lab "$long"
expect_squares lab "$long" 60
[ ! -e "$(folder_of lab)/worker.paused" ] || fail "resume left its mark"
expect_exit 0 at lab worker stop
expect_error 5 'no worker runs' at lab worker pause
